/** The report of a case: writing that saves itself, two writers, signing. */
import './styles/key_images.css';
import './styles/report.css';
import { ReportSection } from './report/section';

customElements.define('report-section', ReportSection);
