// Looks at a page of `smpcall report` from inside, everything unfolded, and gives back what it finds (xtask/src/report.rs says what of
// it is a fault).
(() => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
  const named = (element) => `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") || ""}"> ${element.textContent.trim().slice(0, 40)}`;

  const plots = {}, empty = [];
  for (const kind of ["heat", "strip", "lines"]) {
    const all = [...document.querySelectorAll(`.plot-${kind}`)];
    plots[kind] = all.length;
    for (const plot of all) {
      const { width, height } = plot.getBoundingClientRect();
      const marks = kind === "heat"
        ? [...plot.querySelectorAll("td")].filter((cell) => /[0-9]/.test(cell.textContent))
        : [...plot.querySelectorAll("rect, line, polyline, circle")].filter((mark) => !mark.classList.contains("grid") && painted(mark));
      if (width < 20 || height < 10 || marks.length === 0) empty.push(named(plot));
    }
  }

  // Whether it leaves a trace: a colour of its own, and a place.
  function painted(mark) {
    const { stroke, fill } = getComputedStyle(mark), { width, height } = mark.getBBox();
    const is = (colour) => colour !== "none" && parse(colour)[3] > 0;
    const shape = mark.tagName === "line" || mark.tagName === "polyline" ? is(stroke) : is(fill) && width > 0 && height > 0;
    return shape && Number.isFinite(width) && Number.isFinite(height);
  }

  function parse(colour) {
    const numbers = (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  }
  const linear = (part) => (part /= 255, part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  function behind(element) {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    // Nothing is painted: the browser's own canvas.
    return getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches
      ? [18, 18, 18, 1] : [255, 255, 255, 1];
  }

  const contrast = { least: 21, of: "" }, text = { least: 1000, of: "" };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    const is_hidden = element.closest(".hidden, title, style, script") || element.getClientRects().length === 0;
    if (!node.data.trim() || is_hidden) continue;
    const drawing = element.ownerSVGElement;
    const [fore, back] = [parse(drawing ? style.fill : style.color), behind(element)].map(luminance);
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    if (ratio < contrast.least) Object.assign(contrast, { least: ratio, of: named(element) });
    const size = parseFloat(style.fontSize) * (drawing ? drawing.getScreenCTM().a : 1);
    if (size < text.least) Object.assign(text, { least: size, of: named(element) });
  }

  return {
    title: document.title,
    headings: document.querySelectorAll("h1").length,
    plots,
    empty,
    width: document.documentElement.scrollWidth,
    contrast,
    text,
    is_dark: luminance(behind(document.body)) < 0.2,
  };
})()
