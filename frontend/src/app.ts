/** Every page: htmx, the keyboard, dialogs, polling and what to say when the server does not answer. */
import '@fontsource-variable/inter/wght.css';
import './app.css';
import htmx from 'htmx.org';
import { startKeyboard } from './page/keyboard';
import { startMessages } from './page/messages';
import { startPolling } from './page/polling';
import { startWorklist } from './page/worklist';
import { startCasePanel } from './page/case_panel';

htmx.config.allowEval = false;
// Swapped-in forms must answer at once: between swap and settling a quick key would submit one without htmx.
htmx.config.defaultSettleDelay = 0;

startMessages();
startPolling();
startKeyboard();
startWorklist();
startCasePanel();
