/** Drawing over images. */

const SVG = 'http://www.w3.org/2000/svg';

/** An SVG element with its attributes. */
export function svgElement<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | number> = {},
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

/** About how wide a text of 12 pixels is drawn; Chinese characters are wider than others. */
export const textWidth = (text: string): number =>
  [...text].reduce((width, character) => width + (character > '⺀' ? 12.5 : 7.2), 0);
