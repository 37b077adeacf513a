/** The case page's images. */
import { caseDescription } from './page/case_events';
import { Stage } from './viewer/stage';

const description = caseDescription();
if (description && description.images.length > 0) new Stage(description);
