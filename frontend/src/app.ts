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
import { startModelUpload } from './page/model_upload';
import { startPicking } from './page/picking';
import { startPolling } from './page/polling';
import { startWorklist } from './page/worklist';
import { startCasePanel } from './page/case_panel';
import { watchFragments, watchNetwork } from './server/connection';
import { startSession } from './session/renewal';

htmx.config.allowEval = false;
// Swapped-in forms must answer at once: between swap and settling a quick key would submit one without htmx.
htmx.config.defaultSettleDelay = 0;
htmx.config.timeout = 15_000;

startSession();
watchNetwork();
watchFragments();
startBanner();
startSending();
guardSignOut();
startMessages();
startPolling();
startKeyboard();
startKeyFields();
startModelUpload();
startPicking();
startWorklist();
startCasePanel();
