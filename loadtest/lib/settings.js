// Everything that a script can be told from outside: environment variables, each with a default.

/** The public address of the cluster: a load balancer, a Service, an Ingress. */
export const url = (__ENV.URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
export const wsUrl = url.replace(/^http/, 'ws');

/** Admin listeners of the single nodes; without them what needs them is left out or refused in a sentence. */
export const adminUrls = (__ENV.ADMIN_URLS || '').split(',').map((one) => one.trim().replace(/\/+$/, '')).filter(Boolean);

/** A token that may subscribe and publish in the rooms of the tests, and the admin.key. */
export const headers = __ENV.TOKEN ? { Authorization: `Bearer ${__ENV.TOKEN}` } : {};
export const adminHeaders = __ENV.ADMIN_TOKEN ? { Authorization: `Bearer ${__ENV.ADMIN_TOKEN}` } : {};

/** A namespace that keeps history, and one that need not. */
export const historyNamespace = __ENV.HISTORY_NAMESPACE || 'loadtest';
export const plainNamespace = __ENV.PLAIN_NAMESPACE || 'plain';

/** A whole or broken number from the environment. */
export function number(name, fallback) {
  const value = __ENV[name] === undefined || __ENV[name] === '' ? fallback : Number(__ENV[name]);
  if (!Number.isFinite(value) || value < 0) {
    throw new Error(`${name}=${__ENV[name]} is not a number from 0 on`);
  }
  return value;
}

/** How late a message may be, in milliseconds. Loose enough for a laptop that runs both sides. */
const latencyP95 = number('LATENCY_P95_MS', 250);
const latencyP99 = number('LATENCY_P99_MS', 1000);

/** What holds for every script. */
export const promises = {
  lost: ['count==0'],
  duplicated: ['count==0'],
  reordered: ['count==0'],
  delivered: ['count>0'],
  delivery_latency: [`p(95)<${latencyP95}`, `p(99)<${latencyP99}`],
};

/**
 * The options of a script whose virtual users run once, each with many connections of its own. All that it measures is
 * tagged with its name, as its scenario. `seconds` bounds the whole run, whatever happens.
 */
export function options(name, vus, seconds, thresholds = {}) {
  return {
    scenarios: {
      [name]: {
        executor: 'per-vu-iterations',
        vus,
        iterations: 1,
        maxDuration: `${Math.ceil(seconds)}s`,
        gracefulStop: '5s',
      },
    },
    thresholds: { ...promises, checks: ['rate==1'], finished: [`count==${vus}`], ...thresholds },
    setupTimeout: '60s',
    summaryTrendStats: ['min', 'med', 'avg', 'p(95)', 'p(99)', 'max'],
    // A series for each address would cost memory and say nothing.
    systemTags: ['check', 'error', 'error_code', 'group', 'method', 'name', 'scenario', 'status', 'subproto'],
  };
}
