// The view of the SAS in use. Clients choose most of its texts: they are added as text, as in views.js.

import { bullets, el, section, words } from './views.js';

const SIGNED_BY = {
  key1: 'key1', key2: 'key2', user_delegation: 'a user delegation key', unknown: 'unknown: no current key signed it',
  undecided: 'not determined: its version or its URL cannot be verified', unchecked: 'not checked: see below',
};
const DAYS = [1, 7, 30, 90];
const HEAD = ['Account', 'Allows', 'Resource', 'Ends', 'Rating', 'First used', 'Last used', 'Requests', 'Signed by'];

const FREE = new Set(['Allows', 'Resource', 'Requests', 'Signed by']); // columns whose words may be long

const day = (moment) => el('time', { datetime: moment, title: moment }, moment.slice(0, 10));

const severe = (severity) => (severity === 'critical' || severity === 'high' ? 'live' : severity === 'medium' ? 'pending' : 'done');

function ends(token) {
  if (token.expires) return day(token.expires);
  return token.policy ? 'set by its policy' : 'unknown';
}

/** Returns who used a token, under its number of requests. */
function clients(token) {
  const who = [...token.clients, ...token.user_agents.slice(0, 3)].slice(0, 6).join(', ');
  return who ? el('small', {}, ` ${who}`) : null;
}

function row(token) {
  const cells = [
    token.account,
    [token.grants, token.policy ? ` Policy: ${token.policy}.` : '', token.revocation ? el('a', { href: `#/record/${token.revocation}` }, ' Reported') : ' Not reported.'],
    token.resource || 'whole account',
    ends(token),
    el('span', { class: `badge ${severe(token.severity)}` }, token.severity.toUpperCase()),
    day(token.first_used),
    day(token.last_used),
    [`${token.requests}${token.accepted < token.requests ? ` (${token.accepted} accepted)` : ''}`, clients(token)],
    SIGNED_BY[token.signed_by] || words(token.signed_by),
  ];
  return el('tr', {}, cells.map((cell, index) => el('td', { 'data-label': HEAD[index] }, el('div', { class: FREE.has(HEAD[index]) ? 'any' : null }, cell))));
}

function blind(page) {
  const { count, first } = page.not_logged;
  const logs = count ? [`${count} accounts have a service whose requests are not logged: ${first.map((one) => one.name).join(', ')}${count > first.length ? ' …' : ''}. See Readiness.`] : [];
  const unidentified = page.unidentified_requests ? [`${page.unidentified_requests} requests had a SAS that the logs do not identify.`] : [];
  return section('What this list can\'t show', bullets([...page.limits, ...logs, ...unidentified, ...page.unread.map((one) => `Not read: ${one.name}. ${one.said}`)]));
}

function filter({ account, days }, onAsk) {
  const name = el('input', { id: 'sas-account', name: 'account', value: account, pattern: '[a-z0-9]{3,24}', maxlength: '24', autocomplete: 'off', spellcheck: 'false' });
  const select = el('select', { id: 'sas-days' }, DAYS.map((each) => el('option', { value: String(each), selected: each === days }, `${each} ${each === 1 ? 'day' : 'days'}`)));
  return el('form', { onsubmit: (event) => { event.preventDefault(); onAsk(name.value.trim(), Number(select.value)); } },
    el('label', { for: 'sas-account' }, 'Account (all if empty)'), name,
    el('label', { for: 'sas-days' }, 'Used in the last'), select, ' ',
    el('button', { type: 'submit' }, 'List'));
}

/** Returns a page of the SAS in use. `asked` is {account, days, after}. */
export function list(page, asked, { onAsk, onMore }) {
  const head = HEAD.map((name) => el('th', { scope: 'col' }, name));
  const summary = page.tokens.length ? 'From the storage logs, the worst first. Nothing was changed. Report a token to revoke it.' : `No SAS was used in the last ${page.days} days, as far as the logs show.`;
  return [
    el('h1', {}, 'SAS in use'),
    el('p', {}, summary),
    filter(asked, onAsk),
    page.tokens.length ? el('table', { class: 'wide' }, el('thead', {}, el('tr', {}, head)), el('tbody', {}, page.tokens.map(row))) : null,
    page.next ? el('button', { type: 'button', onclick: onMore }, 'More') : null,
    blind(page),
  ];
}
