// The responders' HTTP API (docs/openapi.yaml).

/** An error response of the API. */
export class Refusal extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || 'The request failed.');
    this.code = problem.code;
  }
}

/** Returns the API calls. Each gets a valid token; all throw Refusal. */
export function api(token) {
  async function call(method, path, body) {
    const headers = { authorization: `Bearer ${await token()}` };
    if (body !== undefined) headers['content-type'] = 'application/json';
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const content = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refusal({ title: `The API returned ${answer.status}.`, ...content });
    return content;
  }
  const record = (id) => `revocations/${encodeURIComponent(id)}`;
  return {
    list: ({ state, after }) => {
      const query = new URLSearchParams({ limit: '25' });
      if (state) query.set('state', state);
      if (after) query.set('after', after);
      return call('GET', `revocations?${query}`);
    },
    read: (id) => call('GET', record(id)),
    report: (report) => call('POST', 'revocations', report),
    approve: (id, digest, reason) => call('POST', `${record(id)}/approve`, { digest, reason }),
    reject: (id, reason) => call('POST', `${record(id)}/reject`, { reason }),
    retry: (id, reason) => call('POST', `${record(id)}/retry`, { reason }),
    undoLockdown: (id, reason) => call('POST', `${record(id)}/undo-lockdown`, { reason }),
    sas: ({ account, days, after }) => {
      const query = new URLSearchParams({ limit: '25', days: String(days) });
      if (account) query.set('account', account);
      if (after) query.set('after', after);
      return call('GET', `sas?${query}`);
    },
    readiness: () => call('GET', 'readiness'),
  };
}
