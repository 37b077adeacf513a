/** What one field says of another, and errors at their place. */
import type { ProblemField, ReportWords } from '../api_types';
import { fillPlaceholders } from '../page/embedded';

/** Show each problem under its field, and none elsewhere. */
export function showFieldErrors(form: HTMLFormElement, problems: ProblemField[]): void {
  for (const place of form.querySelectorAll<HTMLElement>('[data-error-of]')) {
    const name = place.dataset['errorOf'] ?? '';
    const found = problems.find((problem) => problem.field === name);
    place.textContent = found?.reason ?? '';
    const control = form.elements.namedItem(name);
    if (control instanceof HTMLElement) {
      if (found) control.setAttribute('aria-invalid', 'true');
      else control.removeAttribute('aria-invalid');
    }
  }
}

/** Keep the dependent fields of a form in step while it is written. */
export function bindDependentFields(form: HTMLFormElement, words: ReportWords): void {
  const select = (name: string): HTMLSelectElement | null => {
    const found = form.elements.namedItem(name);
    return found instanceof HTMLSelectElement ? found : null;
  };

  /** The exam is as serious as its more serious breast. */
  const updateExamAssessment = (): void => {
    const exam = select('assessment');
    const order = JSON.parse(exam?.dataset['seriousness'] ?? '[]') as string[];
    const ranks = ['right', 'left'].map((side) => order.indexOf(select(side)?.value ?? ''));
    const worst = order[Math.max(...ranks)];
    if (exam && worst) exam.value = worst;
  };

  let suggested = '';
  /** Offer the management that BI-RADS links to the assessment. What the reader chose stays; what was only
   * suggested follows the assessment. */
  const updateRecommendation = (): void => {
    const recommendation = select('recommendation');
    if (!recommendation) return;
    const fitting = JSON.parse(recommendation.dataset['fitting'] ?? '{}') as Record<string, string[]>;
    const allowed = fitting[select('assessment')?.value ?? ''];
    for (const option of recommendation.options) {
      option.disabled = Boolean(allowed && option.value && !allowed.includes(option.value));
    }
    const untouched = !recommendation.value || recommendation.value === suggested;
    if (untouched && allowed && !allowed.includes(recommendation.value)) {
      suggested = allowed.length === 2 ? (allowed[0] ?? '') : '';
      recommendation.value = suggested;
    }
  };

  /** Nottingham: the sum of three scores, 3–5 is grade 1, 6–7 grade 2, 8–9 grade 3. */
  const updateGrade = (): void => {
    const place = form.querySelector<HTMLElement>('[data-grade]');
    if (!place) return;
    const scores = ['tubules', 'nuclei', 'mitoses'].map((name) => Number(select(name)?.value ?? 0));
    const total = scores.reduce((sum, score) => sum + score, 0);
    const grade = total <= 5 ? 1 : total <= 7 ? 2 : 3;
    place.textContent = scores.every(Boolean) ? fillPlaceholders(words.grade, { grade, total }) : '—';
  };

  form.addEventListener('change', (event) => {
    const name = (event.target as HTMLSelectElement).name;
    if (name === 'right' || name === 'left') updateExamAssessment();
    if (name === 'recommendation') suggested = '';
    updateRecommendation();
    updateGrade();
  });
  updateRecommendation();
  updateGrade();
}
