// Draws a dashboard of ours with Grafana's own panels, from what a Prometheus has: index.html?dashboard=…&prometheus=…&end=…
import {
  createTheme, dateTime, FieldType, getDisplayProcessor, getDisplayValueAlignmentFactors, getFieldDisplayValues, ThemeContext,
  toDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';

const asked = new URLSearchParams(location.search);
const end = Number(asked.get('end'));
const start = end - Number(asked.get('seconds'));
const step = Number(asked.get('step'));
const theme = createTheme({ colors: { mode: 'light' } });
const phone = 769; // Below it, Grafana has one column.
const [unit, gap, columns] = [30, 8, 24];

async function get(path, query) {
  const answer = await fetch(`${asked.get('prometheus')}/api/v1/${path}?${new URLSearchParams(query)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(body.error);
  return body.data;
}

function filled(text, values) {
  return text
    .replaceAll('$__rate_interval', `${4 * step}s`)
    .replaceAll('$__range', `${end - start}s`)
    .replace(/\$\{?([a-z]+)\}?/g, (whole, name) => values[name] ?? whole);
}

// The first value of each variable that has only one at a time, every value of the others.
async function chosen(variables) {
  const values = {};
  for (const each of variables.filter(({ type }) => type === 'query')) {
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(each.query.query);
    const found = await get(`label/${label}/values`, { 'match[]': filled(selector, values), start, end });
    const given = asked.get(each.name);
    values[each.name] = given ?? (each.multi ? found.join('|') || '.*' : found.sort()[0]);
  }
  return values;
}

async function framesOf(panel, values) {
  const frames = [];
  for (const target of panel.targets) {
    const query = filled(target.expr, values);
    const found = target.instant
      ? await get('query', { query, time: end })
      : await get('query_range', { query, start, end, step });
    for (const { metric, value, values: many } of found.result) {
      const points = many ?? [value];
      const config = {
        ...panel.fieldConfig.defaults,
        displayName: target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? ''),
      };
      frames.push(toDataFrame({
        refId: target.refId,
        fields: [
          { name: 'Time', type: FieldType.time, values: points.map(([time]) => time * 1000), config: { interval: step * 1000 } },
          { name: 'Value', type: FieldType.number, values: points.map(([, number]) => Number(number)), config, labels: metric },
        ],
      }));
    }
  }
  let index = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.type === FieldType.number) field.state = { seriesIndex: index++, displayName: field.config.displayName };
      field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
    }
  }
  return frames;
}

function Graph({ panel, frames, width, height }) {
  const timeRange = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: 'now-1h', to: 'now' } };
  return (
    <TimeSeries frames={frames} structureRev={1} timeRange={timeRange} timeZone="utc" width={width} height={height}
      legend={{ ...panel.options.legend, calcs: [] }} options={panel.options}>{() => null}</TimeSeries>
  );
}

function Figures({ panel, frames, width, height }) {
  const values = () => getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text,
    theme, data: frames, timeZone: 'utc',
  });
  const isBars = panel.type === 'bargauge';
  const draw = ({ value, width, height, alignmentFactors }) => isBars
    ? <BarGauge value={value.display} field={value.field} width={width} height={height} theme={theme} alignmentFactors={alignmentFactors}
        orientation="horizontal" displayMode={panel.options.displayMode} itemSpacing={8} />
    : <BigValue value={value.display} width={width} height={height} theme={theme} textMode={panel.options.textMode}
        colorMode={panel.options.colorMode} graphMode="none" justifyMode="auto" />;
  return (
    <VizRepeater source={frames} getValues={values} getAlignmentFactors={getDisplayValueAlignmentFactors} renderValue={draw} width={width} height={height} autoGrid
      renderCounter={0} itemSpacing={8} minVizHeight={16} minVizWidth={8} orientation={isBars ? 'horizontal' : 'auto'} />
  );
}

function Panel({ panel, frames, width, height }) {
  const Content = panel.type === 'timeseries' ? Graph : Figures;
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(width, height) => frames.length
        ? <Content panel={panel} frames={frames} width={width} height={height} />
        : <div style={{ display: 'flex', height, alignItems: 'center', justifyContent: 'center' }}>No data</div>}
    </PanelChrome>
  );
}

function place(panel, top, whole) {
  const { x, y, w, h } = panel.gridPos;
  const height = h * (unit + gap) - gap;
  if (whole < phone) return { left: gap, top, width: whole - 2 * gap, height };
  const column = (whole - gap) / columns;
  return { left: gap + x * column, top: gap + y * (unit + gap) + 56, width: w * column - gap, height };
}

function Page({ dashboard, values, frames, whole }) {
  const chosen = Object.entries(values).map(([name, value]) => `${name}: ${value}`).join('    ');
  let top = 96;
  const drawn = dashboard.panels.map((panel) => {
    const at = place(panel, top, whole);
    top += at.height + gap;
    return (
      <div key={panel.id} style={{ position: 'absolute', ...at }}>
        {panel.type === 'row'
          ? <h6 style={{ margin: 0, lineHeight: `${unit}px` }}>{panel.title}</h6>
          : <Panel panel={panel} frames={frames[panel.id]} width={at.width} height={at.height} />}
      </div>
    );
  });
  return (
    <div style={{ position: 'relative', height: '100vh', overflow: 'hidden', background: theme.colors.background.canvas }}>
      <h4 style={{ position: 'absolute', left: gap, top: gap, margin: 0 }}>{dashboard.title}</h4>
      <div style={{ position: 'absolute', left: gap, top: 36, fontSize: 12, whiteSpace: 'pre-wrap' }}>{chosen}</div>
      {drawn}
    </div>
  );
}

async function draw() {
  const dashboard = await (await fetch(asked.get('dashboard'))).json();
  const values = await chosen(dashboard.templating.list);
  const frames = {};
  for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) frames[panel.id] = await framesOf(panel, values);
  createRoot(document.getElementById('page')).render(
    <ThemeContext.Provider value={theme}><GlobalStyles /><Page {...{ dashboard, values, frames, whole: Number(asked.get('width')) }} /></ThemeContext.Provider>,
  );
}

draw().catch((error) => { document.body.textContent = String(error.stack); });
