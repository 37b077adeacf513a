/** Tabs as the ARIA practices describe them: arrows move, the panel follows. */

interface Tabs {
  show(index: number, focus?: boolean): void;
}

/** Make a `role=tablist` of buttons work; `show` opens a tab by its position. */
export function bindTabs(list: HTMLElement): Tabs {
  const tabs = [...list.querySelectorAll<HTMLButtonElement>('[role=tab]')];
  const show = (index: number, focus = false): void => {
    tabs.forEach((tab, position) => {
      const chosen = position === index;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute('aria-controls') ?? '');
      if (panel) panel.hidden = !chosen;
      if (chosen && focus) tab.focus();
    });
  };
  tabs.forEach((tab, position) => tab.addEventListener('click', () => show(position)));
  list.addEventListener('keydown', (event) => {
    const current = tabs.findIndex((tab) => tab.getAttribute('aria-selected') === 'true');
    const target = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    show((target + tabs.length) % tabs.length, true);
  });
  return { show };
}
