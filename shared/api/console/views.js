// The views of the console. Every value is added as text: most of it is untrusted. Only `{ code }` is shown as code.

// Characters without a shape: controls, bidirectional marks, zero-width and other ignorable ones. A record's own fields
// (paths, policies, user agents) are in the API as they are, since programs compare them.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu;

const visible = (text) => text.replace(INVISIBLE, ' ');

/** Returns an element with attributes and children; `on…` is a listener, a string child is text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== '').map((child) => (typeof child === 'string' ? visible(child) : child)));
  return element;
}

const STATES = {
  received: 'received', observed: 'observed, not revoked', awaiting_approval: 'awaiting approval', contained: 'contained',
  proven: 'verified revoked', closed: 'closed', dismissed: 'dismissed', unresolved: 'unresolved', failed: 'failed',
};
const LIVE = new Set(['observed', 'awaiting_approval', 'unresolved', 'failed', 'received']);

export const states = Object.entries(STATES);

const TERMS = {
  loose: 'unattributed', other_service: 'not of Azure Storage', still_alive: 'still accepted', proven: 'verified revoked', arm_only: 'confirmed by Azure Resource Manager only',
  in_effect: 'blocked, not revoked',
};

/** Returns a value of the API as people read it. */
export const words = (value) => TERMS[value] || (value || '').replaceAll('_', ' ');

export function age(moment, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(moment)) / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const time = (moment) => el('time', { datetime: moment }, `${moment.slice(0, 19).replace('T', ' ')} UTC`);

const badge = (state) => el('span', { class: `badge ${LIVE.has(state) ? 'live' : state === 'contained' ? 'pending' : 'done'}` }, STATES[state] || words(state));

const KINDS = {
  account_sas: 'Account SAS', service_sas: 'Service SAS', policy_sas: 'SAS of a stored access policy',
  user_delegation_sas: 'User delegation SAS', account_key: 'Account key', alert: 'Alert', order: 'Order',
  unreadable_report: 'Unreadable report', other_service: 'Credential of another service',
};

const kind = (record) => KINDS[record.kind] || words(record.kind);

const title = (record) => `${kind(record)}${record.account ? ` of ${record.account}` : ''}`;

function facts(rows) {
  return el('dl', {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== '').flatMap(([label, value]) => [el('dt', {}, label), el('dd', {}, value)]));
}

export const section = (heading, ...content) => el('section', {}, el('h2', {}, heading), ...content);

export const bullets = (items) => el('ul', {}, items.map((item) => el('li', {}, item)));

/** Returns the parts of a text of the API: strings, and code that people copy. */
const rich = (text) => text.parts.map((part) => (typeof part === 'string' ? part : el('code', {}, part.code)));

export function list(page, { state, onState, onMore }) {
  const select = el('select', { id: 'state', onchange: (event) => onState(event.target.value) },
    el('option', { value: '' }, 'all'),
    states.map(([value, label]) => el('option', { value, selected: value === state }, label)));
  const rows = page.revocations.map((record) => el('tr', {},
    el('td', { 'data-label': 'Severity' }, (record.severity || '–').toUpperCase()),
    el('td', { 'data-label': 'Leak' }, el('a', { href: `#/record/${record.id}` }, title(record))),
    el('td', { 'data-label': 'State' }, badge(record.state)),
    el('td', { 'data-label': 'Action / after revocation' }, record.action ? `${words(record.action)} ${record.target || ''}` : '–'),
    el('td', { 'data-label': 'Reported by' }, record.source),
    el('td', { 'data-label': 'Age' }, age(record.received_at))));
  const head = ['Severity', 'Leak', 'State', 'Action', 'Reported by', 'Age'].map((name) => el('th', { scope: 'col' }, name));
  return [
    el('h1', {}, 'Leaks'),
    el('p', { class: 'filter' }, el('label', { for: 'state' }, 'State '), select),
    page.unreadable.length ? el('p', { role: 'status' }, `${page.unreadable.length} records of this page can't be read by this version: ${page.unreadable.map((id) => id.slice(0, 12)).join(', ')}. See Readiness.`) : null,
    rows.length ? el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)) : el('p', {}, 'No leaks.'),
    page.next ? el('button', { type: 'button', onclick: onMore }, 'Older') : null,
  ];
}

function leak(record) {
  const found = record.leak;
  return section('Leaked credential', facts([
    ['Kind', kind(record)], ['Severity', (record.severity || '').toUpperCase()], ['Account', record.account],
    ['Host', found?.credential.host], ['Container', found?.container], ['Path', found?.path],
    ['Other reported paths', found?.other_paths || null], ['Policy', found?.policy],
    ['Allows', found?.grants], ['Expires', found?.expires ? time(found.expires) : null],
    ['Reported by', record.source], ['Found at', record.url], ['Reported', time(record.received_at)],
    ['Reason', record.reported_because], ['Correlating id', record.c3id],
  ]));
}

/** Returns how many approvals a plan has, of how many, and whose. */
function approvals(record) {
  const given = [record.first_approval, record.approval].filter(Boolean).map((one) => (one.by ? one.by.name : 'the deadline'));
  const who = given.length ? `: ${given.join(', ')}` : '';
  if (record.approvers_required) return `${given.length} of ${record.approvers_required}${who}`;
  return given.join(', ') || null;
}

function plan(record) {
  if (!record.plan) return null;
  return section(record.execution ? 'Action' : 'Planned action',
    facts([['Action', words(record.plan.action)], ['Target', record.plan.target], ['Reason', record.plan.reason], ['Decided by', record.decided_by],
      ['Approve by', record.deadline ? time(record.deadline) : null], ['Approvals', approvals(record)],
      ['Rejected by', record.rejections.map((one) => one.by.name).join(', ')], ['Evidence', record.evidence_check?.said]]),
    el('h3', {}, 'Impact'), bullets(record.plan.impact));
}

function usage(record) {
  const used = record.usage;
  if (!used) return null;
  if (used.unknown) return section('Usage', el('p', {}, used.unknown));
  return section('Usage',
    el('p', {}, used.requests ? `${used.requests} requests in ${used.days} days. ${used.served} were accepted, ${used.served_after} of them after the revocation.` : `No requests in the logs of ${used.days} days.`),
    used.requests ? facts([['First', used.first && time(used.first)], ['Last', used.last && time(used.last)], ['Bytes out', String(used.bytes_out)], ['Writes', String(used.writes)], ['Deletes', String(used.deletes)]]) : null,
    used.clients.length ? bullets(used.clients.map((client) => `${client.address} (${client.agent}): ${client.requests}`)) : null);
}

const timeline = (record) => section('Timeline', el('ol', { class: 'timeline' }, record.history.map((entry) => el('li', {}, time(entry.at), ` ${entry.what} `, el('small', {}, entry.who)))));

/** `acts`: the decisions [{label, name, danger}] that are possible; `onAct(name, reason)` makes one. */
export function record(found, acts, onAct) {
  const reason = el('input', { id: 'reason', name: 'reason', required: true, maxlength: '500', autocomplete: 'off' });
  const form = el('form', { class: 'acts', onsubmit: (event) => { event.preventDefault(); onAct(event.submitter.value, reason.value); } },
    el('label', { for: 'reason' }, 'Reason (kept in the record)'), reason,
    acts.map((act) => el('button', { type: 'submit', value: act.name, class: act.danger ? 'danger' : '', disabled: act.disabled }, act.label)));
  return [
    el('h1', {}, title(found)),
    el('p', {}, badge(found.state), found.reason ? ` ${words(found.reason)}` : ''),
    el('p', { class: 'detail' }, found.detail),
    found.refusal ? el('p', {}, found.refusal.next_at ? 'Sasquash tries again: ' : 'Sasquash does not try again by itself.', found.refusal.next_at ? time(found.refusal.next_at) : '') : null,
    acts.length ? form : null,
    plan(found), leak(found),
    found.verification ? section('Verification', el('p', {}, words(found.verification.outcome)), bullets(found.verification.evidence)) : null,
    found.changed_by ? section('Changed by others', bullets([rich(found.changed_by)])) : null,
    found.remains?.length ? section('Remaining exposure', bullets(found.remains.map(rich))) : null,
    usage(found), timeline(found),
  ];
}

export function report({ onDryRun, onRevoke }, checked) {
  const text = el('textarea', { id: 'text', name: 'text', rows: '6', required: true, spellcheck: 'false', autocomplete: 'off' });
  const reason = el('input', { id: 'why', name: 'reason', required: true, maxlength: '500', autocomplete: 'off' });
  const url = el('input', { id: 'url', name: 'url', type: 'url', maxlength: '2048', autocomplete: 'off' });
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    const given = { text: text.value, reason: reason.value, ...(url.value ? { url: url.value } : {}) };
    (event.submitter.value === 'revoke' ? onRevoke : onDryRun)(given);
  } },
  el('label', { for: 'text' }, 'Leaked text with its surroundings: a URL, a connection string, a whole file'), text,
  el('label', { for: 'why' }, 'Reason'), reason,
  el('label', { for: 'url' }, 'Found at (optional)'), url,
  el('p', {}, el('button', { type: 'submit', value: 'dry-run' }, 'Preview'), ' ',
    el('button', { type: 'submit', value: 'revoke', class: 'danger', disabled: true, id: 'revoke' }, 'Revoke')));
  const results = el('div', { id: 'results' }, checked || []);
  return [el('h1', {}, 'Report a leak'), el('p', {}, 'The text is sent to the app only, and is not stored. Preview first, then revoke.'), form, results];
}

export function dryRun(records) {
  return records.map((found) => el('section', { class: 'result' }, el('h2', {}, title(found)), el('p', {}, badge(found.state), ` ${found.detail}`), plan(found)));
}

export function readiness(found) {
  const accounts = found.accounts.map((account) => el('li', {}, el('strong', {}, account.account), account.ready ? ' ready' : ' NOT READY',
    account.troubles.length ? bullets(account.troubles.map((trouble) => `${trouble.check}: ${trouble.said}`)) : null));
  const drills = found.drills.map((drill) => el('li', {}, time(drill.started_at), ` ${words(drill.outcome)}. ${drill.said}`));
  const others = found.not_monitored;
  const unread = found.unreadable_rows;
  return [el('h1', {}, 'Readiness'),
    unread && unread.count ? section('Rows that can\'t be read', el('p', {}, `${unread.count} rows of Sasquash's tables. They are kept as they are. Deploy the newer version again, or see docs/operations.md, "Rolling back".`),
      bullets(unread.first.map((one) => `${one.key} in partition ${one.partition} of ${one.table}${one.is_newer ? ', of a newer version' : ''}`))) : null,
    others && others.count ? section('Subscriptions that are not monitored', el('p', {}, `${others.count} that Sasquash may see. A leak there is not revoked: it is reported as not covered.`),
      bullets(others.first.map((one) => `${one.name} (${one.id})`))) : null,
    section('Accounts', accounts.length ? el('ul', {}, accounts) : el('p', {}, 'No accounts checked yet.')),
    section('Drills', drills.length ? el('ul', {}, drills) : el('p', {}, 'No drills yet.'))];
}

export function problem(error) {
  return [el('h1', {}, 'Error'), el('p', {}, error.message)];
}
