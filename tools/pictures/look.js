// What a reader would see of the page that is open: returns a list of faults, one sentence each.
(() => {
  const SMALLEST_PX = 10, EDGE_PX = 1.5, NEXT_LINE_PX = 5, LINES = 5, CHARACTERS_A_LINE = 14;
  const faults = [];
  const root = document.documentElement;
  const width = root.clientWidth;
  const short = (text) => { const one = text.trim().replace(/\s+/g, " "); return one.length > 50 ? one.slice(0, 49) + "…" : one; };
  const name = (element) => element.tagName.toLowerCase() + (element.className && element.className.split ? "." + element.className.trim().split(/\s+/).join(".") : "");

  if (root.scrollWidth > width) {
    const scrolls = (element) => { for (let up = element.parentElement; up && up !== document.body; up = up.parentElement) if (getComputedStyle(up).overflowX !== "visible") return true; return false; };
    const wide = [...document.body.querySelectorAll("*")].find((each) => each.getBoundingClientRect().right > width + EDGE_PX && !scrolls(each));
    faults.push(`the page is ${root.scrollWidth - width} px wider than the window` + (wide ? `, by ${name(wide)} “${short(wide.textContent)}”` : ""));
  }
  for (const image of document.images)
    if (!image.complete || !image.naturalWidth) faults.push(`the picture ${image.getAttribute("src")} does not load`);
  const titles = document.querySelectorAll("article h1");
  if (titles.length !== 1) faults.push(`it has ${titles.length} titles (h1), not one`);
  if (!document.title.trim()) faults.push("its <title> is empty");

  // Of text: each node that is seen, the lines it is laid out in, and what cuts it.
  const seen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const lines = (node) => { const range = document.createRange(); range.selectNodeContents(node); return [...range.getClientRects()].filter((rect) => rect.width > 0); };
  const cutter = (element, rect) => {
    for (let up = element; up && up !== document.body; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (["auto", "scroll"].includes(style.overflowX)) return null;
      if (style.position === "fixed") return null;
      if (style.overflowX === "visible" || style.display === "inline") continue;
      const box = up.getBoundingClientRect();
      if (rect.right > box.right + EDGE_PX || rect.left < box.left - EDGE_PX) return up;
    }
    return rect.right > width + EDGE_PX || rect.left < -EDGE_PX ? document.body : null;
  };
  const small = new Set(), cut = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !seen(element) || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) continue;
    const rects = lines(node);
    if (!rects.length) continue;
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (size < SMALLEST_PX) small.add(`“${short(node.data)}” (${name(element)}) is ${size} px small`);
    if (element.closest("article, .md-footer, .md-tabs") && rects.some((rect) => cutter(element, rect)))
      cut.add(`“${short(node.data)}” (${name(element.closest("h1, h2, h3, h4, h5, h6, a, td, code") || element)}) is cut off at the edge`);
  }
  faults.push(...small, ...cut);

  for (const cell of document.querySelectorAll("article td, article th")) {
    const middles = [];
    const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) for (const rect of lines(node)) middles.push((rect.top + rect.bottom) / 2);
    middles.sort((one, other) => one - other);
    const count = middles.filter((middle, index) => !index || middle - middles[index - 1] > NEXT_LINE_PX).length;
    const text = cell.innerText.trim();
    if (count >= LINES && text.length / count < CHARACTERS_A_LINE)
      faults.push(`a cell is squashed: “${short(text)}”, ${text.length} characters in ${count} lines`);
  }
  return faults;
})()
