/** The case page for tests: the parts of its markup that the viewers look for, and the four views of an exam. */
import shortcuts from './shortcuts.json';
import type { CaseAnnotation, CaseDescription, CaseFinding, CaseImage, CaseWords } from '../api_types';

const MARKUP = `
  <section class="stage" id="stage">
    <div class="toolbar" role="toolbar">
      <div data-for="raster"><button data-for="radiology" data-tool="window"></button><button data-tool="pan"></button><button data-tool="length"></button></div>
      <div data-for="slide"><button data-tool="pan"></button><button data-tool="length"></button></div>
      <button data-for="hanging" data-command="layout" aria-pressed="true"></button>
      <button data-for="radiology" data-command="flip" aria-pressed="false"></button>
      <button data-for="radiology" data-command="invert" aria-pressed="false"></button>
      <button data-command="marks" aria-pressed="true"></button>
      <button data-for="faint" data-command="faint" aria-pressed="false"><span id="faint-count"></span></button>
      <button data-for="heatmap" data-command="heatmap" aria-pressed="false"></button>
      <input type="range" id="opacity" min="0" max="100" value="45">
      <span id="heat-legend" hidden><canvas id="heat-ramp" width="64" height="6"></canvas></span>
    </div>
    <div class="stage__view"><div class="stage__panes" id="panes" tabindex="-1" data-keys="image"></div><p id="view-state"></p></div>
    <div class="stage__strip" id="strip" role="group" hidden></div>
  </section>`;

/** The words of the page; tests look for these. */
export const caseWords: CaseWords = {
  loading: 'Loading',
  retry: 'Try again',
  failed: 'Failed:',
  no_connection: 'No connection.',
  no_spacing: 'px',
  not_calibrated: 'px (not calibrated here)',
  no_scale: 'no scale',
  scale_in_middle: 'in the middle',
  scale_at_pointer: 'at the pointer',
  focal_plane: 'Focal plane',
  optical_path: 'Optical path',
  mirrored: 'mirrored',
  mirrored_by_picture: 'mirrored by the picture',
  turned: 'turned {degrees}°',
  kept_aside: 'Kept aside',
  settle_side: 'Confirm the side…',
  more_images: 'More images than are shown',
  faint_marks: '{count} fainter',
  no_view: 'no {view}',
  previous_image: 'previous',
  next_image: 'next',
  frame: 'Frame',
  speed_assumed: '(assumed)',
  slower_than: '(should be {speed})',
  cpu: '',
  window: 'Window',
  slide_error: 'The slide cannot be opened.',
  play: 'Play',
  pause: 'Pause',
  edit_title: 'Edit',
  edit_hint: '',
  add_title: 'Add',
  add_hint: '',
  label_unchanged: 'Unchanged',
  label_choose: 'Choose',
  nothing_changed: 'Nothing changed',
  sending: 'kept here',
  accepted: 'Accept finding {number}',
  edited: 'Edit finding {number}',
  rejected: 'Reject finding {number}',
  undecided: 'Undo finding {number}',
  added: 'New finding: {label}',
  as_left: 'As you left it: {what}',
  left_zoomed: 'zoomed',
  left_window: 'window',
  left_inverted: 'inverted',
  left_flipped: 'flipped',
  left_sheet: 'frame',
  reset: 'Reset',
  left_marks: 'findings hidden',
  kept_view: 'View of {image}',
  kept_drawing: 'Measurement in {image}',
  kept_report: 'Measurement of {image} for the report',
  kept_stage: 'Layout and tools',
  note: 'Note',
  done: 'Done',
  not_kept: 'Not kept.',
};

/** Open a case page anew, with these findings. */
export function openCasePage(findings: readonly CaseFinding[] = []): void {
  document.body.innerHTML = MARKUP;
  for (const [id, content] of [
    ['findings-json', findings],
    ['page-settings', { shortcuts }],
  ] as const) {
    const script = Object.assign(document.createElement('script'), { id, type: 'application/json' });
    script.textContent = JSON.stringify(content);
    document.body.append(script);
  }
}

/** An image by its name, such as `R CC`: side and view follow from it. */
export function caseImage(name: string, more: Partial<CaseImage> = {}): CaseImage {
  const [laterality = '', view = ''] = name.split(' ');
  return {
    id: name.toLowerCase().replace(' ', '-'),
    name,
    kind: 'dicom',
    is_photograph: false,
    laterality,
    view,
    rows: 4,
    columns: 2,
    frames: 1,
    view_modifiers: [],
    roles: ['hung', 'scored'],
    kept_aside_reason: '',
    turn: 0,
    mirror: false,
    turned_by: '',
    side_stop: '',
    scale_reason: '',
    scale_sentences: [],
    pixel_aspect: null,
    pixel_spacing_um: 100,
    spacing_um: [100, 100],
    regions: [],
    frame_time_ms: null,
    urls: {
      metadata: `/metadata/${name}`,
      pixels: `/pixels/${name}`,
      thumbnail: '',
      rendered: null,
      file: '',
      tiles: `/tiles/${name}`,
    },
    heatmap: null,
    ...more,
  };
}

/** A screening exam in the order of its hanging. */
export const fourViews = (): CaseImage[] => ['R CC', 'L CC', 'R MLO', 'L MLO'].map((name) => caseImage(name));

/** A case of these images, with the name of its hanging protocol. */
export const caseOf = (hanging: string, images: CaseImage[]): CaseDescription => ({
  study: 'study',
  hanging,
  images,
  kept: null,
  may_annotate: false,
  addresses: {
    stage_view: '/view',
    image_view: '/images/{id}/view',
    annotation: '/annotations/{id}',
    annotation_report: '/annotations/{id}/report',
  },
  words: caseWords,
});

/** An undecided finding of the model, with a box of one pixel. */
export function findingIn(image: CaseImage, id: string): CaseFinding {
  return {
    id,
    number: 1,
    image: image.id,
    frame: null,
    shown: true,
    percent: 80,
    verdict: 'undecided',
    by_reader: false,
    box: [0, 0, 1, 1],
    polygon: null,
  };
}

/** A length of the reader's own, from (10, 10) to (60, 10). */
export const annotationIn = (image: CaseImage, id: string, more: Partial<CaseAnnotation> = {}): CaseAnnotation => ({
  id,
  image: image.id,
  frame: null,
  kind: 'length',
  points: [
    [10, 10],
    [60, 10],
  ],
  note: '',
  words: '',
  author: '',
  in_report: false,
  revision: 1,
  removed: false,
  ...more,
});
