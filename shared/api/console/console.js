// Routes addresses to views, and handles their buttons: #/, #/record/<id>, #/report, #/sas, #/readiness.

import { api } from './api.js';
import * as sas from './sas.js';
import { signIn } from './sign_in.js';
import * as views from './views.js';

const main = document.getElementById('main');
const status = document.getElementById('status');
const REFRESH = 3000; // milliseconds, while a record is processed
const PROCESSING = new Set(['received', 'contained', 'proven']);

let calls;
let roles = new Set();
let me = '';
let shown = 0;

const say = (text) => { status.textContent = text; };

function show(elements) {
  main.replaceChildren(...elements.flat().filter(Boolean));
}

/** Runs an action of a view. An error is shown as the status, and the view stays. */
async function guarded(act) {
  try {
    await act();
  } catch (error) {
    say(error.message);
  }
}

async function showList(state = '', after = null) {
  const page = await calls.list({ state, after });
  show(views.list(page, { state, onState: (wanted) => guarded(() => showList(wanted)), onMore: () => guarded(() => showList(state, page.next)) }));
}

const isMine = (decision) => decision?.by?.object_id === me;

/** Returns the buttons to approve and to reject; one is disabled where another approver has to decide. */
function decisions(record) {
  const approve = { name: 'approve', label: 'Approve and revoke', danger: true };
  if (record.order && isMine({ by: record.reported_by })) Object.assign(approve, { label: 'Needs another approver', disabled: true });
  else if (isMine(record.first_approval)) Object.assign(approve, { label: '1 of 2 approvals, needs another approver', disabled: true });
  else if (record.first_approval) approve.label = 'Approve as the second approver, and revoke';
  else if (record.approvers_required > 1) approve.label = 'Approve (1 of 2)';
  const reject = { name: 'reject', label: 'Reject' };
  if (record.rejections.some(isMine)) Object.assign(reject, { label: '1 of 2 rejections, needs another approver', disabled: true });
  else if (record.rejections.length) reject.label = 'Reject as the second approver';
  else if (record.rejecters_required > 1) reject.label = 'Reject (1 of 2)';
  return [approve, reject];
}

/** Returns the decisions that the signed-in user can make on a record. The API checks them again. */
function acts(record) {
  const approver = roles.has('Approver');
  const found = [];
  if (record.state === 'awaiting_approval' && approver) {
    found.push(...decisions(record));
  }
  if (['failed', 'unresolved', 'observed'].includes(record.state) && !record.execution && (approver || roles.has('Responder'))) {
    found.push({ name: 'retry', label: 'Retry' });
  }
  if (record.reason === 'rejected' && approver && !record.rejections.some(isMine)) {
    found.push({ name: 'retry', label: 'Undo the rejection' });
  }
  if (record.lockdown && !record.lockdown.undone_at && approver) {
    const what = record.lockdown.action === 'lockdown' ? 'lockdown' : 'SAS policy';
    found.push({ name: 'undoLockdown', label: `Undo ${what}`, danger: true });
  }
  return found;
}

async function showRecord(id) {
  const view = shown;
  const record = await calls.read(id);
  if (view !== shown) return;
  const writing = main.contains(document.activeElement) && document.activeElement.tagName === 'INPUT';
  if (!writing) {
    show(views.record(record, acts(record), (name, reason) => guarded(async () => {
      say('…');
      await (name === 'approve' ? calls.approve(id, record.plan.digest, reason) : calls[name](id, reason));
      say('Done.');
      await route();
    })));
  }
  if (PROCESSING.has(record.state) && record.reason !== 'in_effect') setTimeout(() => { if (view === shown) guarded(() => showRecord(id)); }, REFRESH);
}

function showReport() {
  const onDryRun = (report) => guarded(async () => {
    say('Checking …');
    const { revocations } = await calls.report({ ...report, dry_run: true });
    document.getElementById('results').replaceChildren(...views.dryRun(revocations));
    document.getElementById('revoke').disabled = false;
    say(`${revocations.length === 1 ? 'One credential' : `${revocations.length} credentials`} found. Nothing was changed.`);
  });
  const onRevoke = (report) => guarded(async () => {
    say('Revoking …');
    const { revocations } = await calls.report({ ...report, wait: 20 });
    say('Reported.');
    location.hash = revocations.length === 1 ? `#/record/${revocations[0].id}` : '#/';
  });
  show(views.report({ onDryRun, onRevoke }));
}

/** Shows a page of the SAS in use. The logs are queried anew for each: that takes seconds. */
async function showSas(asked = { account: '', days: 30, after: null }) {
  const view = shown;
  say('Querying the storage logs …');
  const page = await calls.sas(asked);
  if (view !== shown) return;
  say('');
  show(sas.list(page, asked, {
    onAsk: (account, days) => guarded(() => showSas({ account, days, after: null })),
    onMore: () => guarded(async () => {
      await showSas({ ...asked, after: page.next });
      main.focus();
    }),
  }));
}

async function route() {
  shown += 1;
  const [, view, id] = location.hash.split('/');
  try {
    if (view === 'record' && /^[0-9a-f]{64}$/.test(id || '')) await showRecord(id);
    else if (view === 'report') showReport();
    else if (view === 'sas') await showSas();
    else if (view === 'readiness') show(views.readiness(await calls.readiness()));
    else await showList();
  } catch (error) {
    say('');
    show(views.problem(error));
  }
  document.title = `${main.querySelector('h1')?.textContent || 'Sasquash'} · Sasquash`;
}

async function start() {
  const config = await (await fetch('desk/config.json')).json();
  if (!config.clientId) {
    show(views.problem(new Error('Sign-in requires an app registration: set SASQUASH_API_AUDIENCES. See docs/deploy.md.')));
    return;
  }
  const person = await signIn(config);
  roles = person.roles;
  me = person.objectId;
  calls = api(person.token);
  document.getElementById('who').textContent = person.name;
  addEventListener('hashchange', () => { say(''); route().then(() => main.focus()); });
  await route();
}

start().catch((error) => show(views.problem(error)));
