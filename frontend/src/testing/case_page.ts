/** The case page for tests: the parts of its markup that the viewers look for, and the four views of an exam. */
import type { CaseDescription, CaseFinding, CaseImage } from '../page/case_events';

const MARKUP = `
  <section class="stage" id="stage">
    <div class="toolbar" role="toolbar">
      <div data-for="raster"><button data-tool="window"></button><button data-tool="pan"></button><button data-tool="length"></button></div>
      <div data-for="slide"><button data-tool="pan"></button><button data-tool="length"></button></div>
      <button data-for="hanging" data-command="layout" aria-pressed="true"></button>
      <button data-command="marks" aria-pressed="true"></button>
      <button data-for="heatmap" data-command="heatmap" aria-pressed="false"></button>
      <input type="range" id="opacity" min="0" max="100" value="45">
      <span id="heat-legend" hidden><canvas id="heat-ramp" width="64" height="6"></canvas></span>
    </div>
    <div class="stage__view"><div class="stage__panes" id="panes"></div><p id="view-state"></p></div>
    <div class="stage__strip" id="strip" role="group" hidden></div>
  </section>`;

/** Open a case page anew, with these findings. */
export function openCasePage(findings: readonly CaseFinding[] = []): void {
  document.body.innerHTML = MARKUP;
  const list = Object.assign(document.createElement('script'), { id: 'findings-json', type: 'application/json' });
  list.textContent = JSON.stringify(findings);
  document.body.append(list);
}

export function caseImage(name: string, more: Partial<CaseImage> = {}): CaseImage {
  const [laterality = '', view = ''] = name.split(' ');
  return {
    id: name.toLowerCase().replace(' ', '-'),
    name,
    kind: 'dicom',
    laterality,
    view,
    rows: 4,
    columns: 2,
    frames: 1,
    spacing_um: 100,
    metadata: `/metadata/${name}`,
    pixels: `/pixels/${name}`,
    thumbnail: '',
    dzi: `/dzi/${name}`,
    heatmap: '',
    ...more,
  };
}

/** A screening exam in the order of its hanging. */
export const fourViews = (): CaseImage[] => ['R CC', 'L CC', 'R MLO', 'L MLO'].map((name) => caseImage(name));

export const caseOf = (hanging: string, images: CaseImage[]): CaseDescription => ({
  study: 'study',
  hanging,
  images,
  canDecide: true,
  words: {},
});

export function findingIn(image: CaseImage, id: string): CaseFinding {
  return {
    id,
    number: 1,
    image: image.id,
    label: 'mass',
    words: '',
    percent: 80,
    verdict: 'undecided',
    byReader: false,
    box: [0, 0, 1, 1],
    modelBox: [0, 0, 1, 1],
    polygon: null,
  };
}
