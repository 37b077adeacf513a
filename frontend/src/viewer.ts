/** The case page's images. */
import { caseDescription } from './page/case_events';
import { ServerError } from './server/client';
import { Stage } from './viewer/stage';

// A frame that cannot be had is told in its pane; Cornerstone leaves a second promise of it unanswered.
window.addEventListener('unhandledrejection', (event) => {
  if (event.reason instanceof ServerError) event.preventDefault();
});

const description = caseDescription();
if (description && description.images.length > 0) new Stage(description);
