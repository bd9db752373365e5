// What a terminal shows, as SVG. Its background is dark, and comes with it: so it can be read on light and on dark pages.
const [CELL, LINE, SIZE, EDGE] = [7.8, 18, 13, 16];
const FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const [BACKGROUND, FOREGROUND, DIM] = ['#0d1117', '#d7dde4', '#8b949e'];
/** the sixteen of every terminal */
const COLOURS =
  '#484f58 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4 #8b949e #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #ffffff'.split(
    ' ',
  );

/**
 * @param {import('@xterm/headless').Terminal} terminal
 * @param {string} title
 */
export function svgOf(terminal, title) {
  const { active } = terminal.buffer;
  const lines = Array.from({ length: terminal.rows }, (_, row) => runsOf(active.getLine(active.baseY + row)));
  const height = lines.findLastIndex((runs) => runs.length > 0) + 1;
  const width = Math.max(...lines.flat().map(({ column, text }) => column + text.length));
  const [w, h] = [Math.ceil(width * CELL) + 2 * EDGE, height * LINE + 2 * EDGE];
  const texts = lines.slice(0, height).map((runs, row) => {
    const y = EDGE + row * LINE + SIZE;
    return runs.length === 0 ? '' : `<text y="${y}">${runs.map(tspan).join('')}</text>\n`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" role="img">
<title>${escaped(title)}</title>
<rect width="${w}" height="${h}" rx="8" fill="${BACKGROUND}"/>
<g font-family="${FONT}" font-size="${SIZE}" fill="${FOREGROUND}" xml:space="preserve">
${texts.join('')}</g>
</svg>
`;
}

/** Text of one look that has no wide gap in it. @returns {{ column: number, text: string, look: string }[]} */
function runsOf(line) {
  const runs = [];
  let gap = 2;
  for (let column = 0; column < line.length; column++) {
    const cell = line.getCell(column);
    const char = cell.getChars() || ' ';
    const last = runs.at(-1);
    if (char === ' ') gap += 1;
    else if (gap < 2 && last?.look === lookOf(cell)) {
      last.text += ' '.repeat(gap) + char;
      gap = 0;
    } else {
      runs.push({ column, text: char, look: lookOf(cell) });
      gap = 0;
    }
  }
  return runs;
}

function lookOf(cell) {
  const colour = cell.isFgPalette() ? COLOURS[cell.getFgColor()] : cell.isDim() ? DIM : undefined;
  return `${colour ? ` fill="${colour}"` : ''}${cell.isBold() ? ' font-weight="bold"' : ''}`;
}

/** Its length is told: whichever font is there, columns stay columns. */
function tspan({ column, text, look }) {
  const [x, length] = [EDGE + column * CELL, text.length * CELL];
  return `<tspan x="${x.toFixed(1)}" textLength="${length.toFixed(1)}"${look}>${escaped(text)}</tspan>`;
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
