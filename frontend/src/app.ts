/** Every page: htmx, the keyboard, dialogs, polling and what to say when the server does not answer. */
import '@fontsource-variable/inter/wght.css';
import './app.css';
import htmx from 'htmx.org';
import { startKeyFields } from './page/key_fields';
import { startKeyboard } from './page/keyboard';
import { startMessages } from './page/messages';
import { startPolling } from './page/polling';
import { startWorklist } from './page/worklist';
import { startCasePanel } from './page/case_panel';
import { csrfToken } from './server/client';

htmx.config.allowEval = false;
// Swapped-in forms must answer at once: between swap and settling a quick key would submit one without htmx.
htmx.config.defaultSettleDelay = 0;

// Fragments carry the same token as the scripts' own requests.
document.addEventListener('htmx:configRequest', (event) => {
  (event as CustomEvent<{ headers: Record<string, string> }>).detail.headers['X-CSRFToken'] = csrfToken();
});

startMessages();
startPolling();
startKeyboard();
startKeyFields();
startWorklist();
startCasePanel();
