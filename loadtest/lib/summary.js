// What a run has shown, as text, JSON and HTML. Everything is in the file: nothing is fetched.

const OK = '✓';
const NOT_OK = '✗';

/** A handleSummary: text to the terminal, and NAME.txt, NAME.json, NAME.html into SUMMARY_DIR, where that is set. */
export function summary(name, purpose) {
  return (data) => {
    const text = asText(name, purpose, data);
    const files = { stdout: text };
    if (__ENV.SUMMARY_DIR) {
      const path = `${__ENV.SUMMARY_DIR}/${name}`;
      files[`${path}.txt`] = text;
      files[`${path}.json`] = JSON.stringify(data, null, 1);
      files[`${path}.html`] = asHtml(name, purpose, data);
    }
    return files;
  };
}

/** Thresholds as rows: metric, condition, whether it held. */
function thresholds(data) {
  const rows = [];
  for (const [metric, { thresholds: all, values }] of sorted(data.metrics)) {
    for (const [condition, { ok }] of Object.entries(all || {})) {
      rows.push({ metric, condition, ok, value: measured(condition, values, data.metrics[metric]) });
    }
  }
  return rows;
}

/** The value that a condition like `p(95)<250` looks at. */
function measured(condition, values, metric) {
  const name = /^[a-z]+(\([\d.]+\))?/.exec(condition)[0];
  return values[name] === undefined ? '' : shown(values[name], metric, name);
}

function sorted(metrics) {
  return Object.entries(metrics).sort(([a], [b]) => (a < b ? -1 : 1));
}

function shown(value, metric, stat) {
  const isCount = stat === 'count' || stat === 'passes' || stat === 'fails';
  if (metric.contains === 'time' && !isCount) return `${value.toFixed(1)} ms`;
  if (metric.contains === 'data') return `${(value / 1048576).toFixed(2)} MiB`;
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

const ORDER = ['min', 'med', 'avg', 'p(95)', 'p(99)', 'max', 'count', 'rate'];

/** The statistics of a metric, in the same order everywhere. */
function stats({ values }) {
  return ORDER.filter((stat) => values[stat] !== undefined).map((stat) => [stat, values[stat]]);
}

/** Metrics that say something about the server; k6's own bookkeeping is in the JSON. */
function rows(data) {
  const own = ([name]) => !/^(iteration|vus|http_req_(blocked|connecting|tls|sending|receiving|waiting)|group_)/.test(name);
  return sorted(data.metrics).filter(own).map(([name, metric]) => {
    return { name, metric, text: stats(metric).map(([stat, value]) => `${stat}=${shown(value, metric, stat)}`).join('  ') };
  });
}

function checks(group) {
  return [...group.checks, ...group.groups.flatMap(checks)];
}

function asText(name, purpose, data) {
  const all = thresholds(data);
  const failed = all.filter(({ ok }) => !ok).length;
  const lines = ['', `${name}: ${purpose}`, `${(data.state.testRunDurationMs / 1000).toFixed(1)} s`, ''];
  const width = Math.max(...all.map(({ metric }) => metric.length));
  for (const { metric, condition, ok, value } of all) {
    lines.push(`  ${ok ? OK : NOT_OK} ${metric.padEnd(width)}  ${condition.padEnd(14)} ${value}`);
  }
  const made = checks(data.root_group);
  if (made.length > 0) lines.push('');
  for (const check of made) {
    lines.push(`  ${check.fails === 0 ? OK : NOT_OK} ${check.name}: ${check.passes} of ${check.passes + check.fails}`);
  }
  lines.push('');
  const metrics = rows(data);
  const longest = Math.max(...metrics.map((row) => row.name.length));
  for (const row of metrics) lines.push(`  ${row.name.padEnd(longest)}  ${row.text}`);
  lines.push('', failed === 0 ? `${name}: all thresholds hold` : `${name}: ${failed} of ${all.length} thresholds do not hold`, '');
  return lines.join('\n');
}

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** A bar for each statistic of a time, all on one scale. */
function bars({ name, metric }) {
  const most = Math.max(metric.values.max, 0.001);
  const bar = ([stat, value]) =>
    `<tr><th>${escape(stat)}</th><td><span class="bar" style="width:${((value / most) * 100).toFixed(1)}%"></span></td>` +
    `<td class="value">${escape(shown(value, metric, stat))}</td></tr>`;
  return `<h3>${escape(name)}</h3><table class="bars">${stats(metric).map(bar).join('')}</table>`;
}

const STYLE = `
  :root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th { text-align: left; font-weight: normal; white-space: nowrap; padding-right: 1rem; }
  td { padding: .15rem .5rem .15rem 0; font-variant-numeric: tabular-nums; }
  tr { border-bottom: 1px solid #8884; }
  .ok { color: #18794e; } .not { color: #cd2b31; font-weight: bold; }
  .bars th { width: 4rem; } .bars .value { width: 8rem; text-align: right; } .bars tr { border: 0; }
  .bar { display: block; height: .8rem; background: #3b82f6; border-radius: 2px; min-width: 1px; }`;

function asHtml(name, purpose, data) {
  const threshold = ({ metric, condition, ok, value }) =>
    `<tr><td class="${ok ? 'ok' : 'not'}">${ok ? OK : NOT_OK}</td><th>${escape(metric)}</th>` +
    `<td>${escape(condition)}</td><td>${escape(value)}</td></tr>`;
  const check = ({ name: what, passes, fails }) =>
    `<tr><td class="${fails === 0 ? 'ok' : 'not'}">${fails === 0 ? OK : NOT_OK}</td><th>${escape(what)}</th>` +
    `<td>${passes} of ${passes + fails}</td></tr>`;
  const all = rows(data);
  const times = all.filter(({ metric }) => metric.type === 'trend');
  const others = all.filter(({ metric }) => metric.type !== 'trend');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(name)} – roomcast load test</title><style>${STYLE}</style></head><body>
<h1>${escape(name)}</h1><p>${escape(purpose)}. ${(data.state.testRunDurationMs / 1000).toFixed(1)} s.</p>
<h2>Thresholds</h2><table>${thresholds(data).map(threshold).join('')}</table>
<h2>Checks</h2><table>${checks(data.root_group).map(check).join('')}</table>
<h2>Counts</h2><table>${others.map((row) => `<tr><th>${escape(row.name)}</th><td>${escape(row.text)}</td></tr>`).join('')}</table>
<h2>Times</h2>${times.map(bars).join('')}
</body></html>
`;
}
