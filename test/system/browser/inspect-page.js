// Runs in the page: reports headings, language, contrast, target sizes and overflow.
(() => {
  const numbers = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);

  /** The colour behind an element: its own and its ancestors' backgrounds, laid over white. */
  function backgroundOf(element) {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce(over, [255, 255, 255]);
  }
  const over = (below, [r, g, b, alpha = 1]) => [r, g, b].map((value, i) => value * alpha + below[i] * (1 - alpha));

  /** WCAG 2.2, relative luminance and contrast ratio. */
  function contrast(one, other) {
    const luminance = (color) => {
      const [r, g, b] = color.map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  }

  const isHidden = (element) => element.closest('.hidden') !== null || element.type === 'hidden';
  const texts = [...document.querySelectorAll('body *')].filter(
    (element) =>
      !isHidden(element) &&
      ([...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '') ||
        element.matches('input')),
  );
  const pale = texts.flatMap((element) => {
    const background = backgroundOf(element);
    const ratio = contrast(over(background, numbers(getComputedStyle(element).color)), background);
    return ratio < 4.5 ? [`${element.tagName} "${element.textContent.trim().slice(0, 40)}" ${ratio.toFixed(2)}`] : [];
  });
  const targets = [...document.querySelectorAll('a, button, input, select, summary')].filter((e) => !isHidden(e));
  const small = targets.flatMap((element) => {
    const { width, height } = element.getBoundingClientRect();
    return width < 44 || height < 44 ? [`${element.tagName} ${width}×${height}`] : [];
  });
  const { scrollWidth, clientWidth } = document.documentElement;
  const cut = texts.filter((element) => element.getBoundingClientRect().right > clientWidth + 0.5);
  return {
    headings: document.querySelectorAll('h1').length,
    lang: document.documentElement.lang,
    texts: texts.length,
    styled: getComputedStyle(document.querySelector('main') ?? document.body).filter !== 'none',
    pale,
    small,
    overflow: scrollWidth - clientWidth + cut.length,
  };
})();
