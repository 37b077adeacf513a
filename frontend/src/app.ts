/** Every page: htmx, the journal of what is not with the server yet, the keyboard, dialogs and polling. */
import '@fontsource-variable/inter/wght.css';
import './app.css';
import htmx from 'htmx.org';
import { startBanner } from './journal/banner';
import { startSending } from './journal/outgoing';
import { guardSignOut } from './journal/sign_out';
import { startKeyFields } from './page/key_fields';
import { startKeyboard } from './page/keyboard';
import { startMessages } from './page/messages';
import { startPolling } from './page/polling';
import { startWorklist } from './page/worklist';
import { startCasePanel } from './page/case_panel';
import { csrfToken } from './server/client';
import { watchFragments, watchNetwork } from './server/connection';

htmx.config.allowEval = false;
// Swapped-in forms must answer at once: between swap and settling a quick key would submit one without htmx.
htmx.config.defaultSettleDelay = 0;
htmx.config.timeout = 15_000;

// Fragments carry the same token as the scripts' own requests.
document.addEventListener('htmx:configRequest', (event) => {
  (event as CustomEvent<{ headers: Record<string, string> }>).detail.headers['X-CSRFToken'] = csrfToken();
});

watchNetwork();
watchFragments();
startBanner();
startSending();
guardSignOut();
startMessages();
startPolling();
startKeyboard();
startKeyFields();
startWorklist();
startCasePanel();
