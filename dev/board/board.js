// The order board: what an app behind the gateway takes without any library. It asks who is signed in, counts the orders,
// and listens: to the gateway, which says when the session ends and why, and to the API, through a WebSocket.
const $ = (id) => document.getElementById(id);

// The header is what no form and no other site can send.
const ask = (path, init) => fetch(path, {...init, headers: {'X-CSRF': '1'}, cache: 'no-store'});

const reasons = new Map(Object.entries({
  signed_out: 'You signed out in another app or on another page, so this one is signed out as well.',
  provider_logout: 'Your session at the sign-in service has ended.',
  admin: 'An administrator has signed you out.',
  replaced: 'Somebody signed in anew in this browser.',
  idle: 'You were away for so long that your session ended.',
  absolute: 'Your session reached its longest life.',
}));

let events, socket, again;

// Who is signed in. Whoever is not is asked about at the provider, once and without a question: who is signed in there comes
// back signed in here, anybody else comes back with login_error.
async function start() {
  const here = new URL(location.href);
  const told = here.searchParams.get('login_error');
  here.searchParams.delete('login_error');
  history.replaceState(null, '', here.pathname + here.search);
  let who;
  try {
    const answer = await ask('/bff/session');
    if (!answer.ok) throw new Error(`the gateway answers ${answer.status}`);
    who = await answer.json();
  } catch (error) {
    show('The board is not available', `Nobody was signed out: ${error.message}. It tries again in five seconds.`);
    setTimeout(start, 5000);
    return;
  }
  if (who.authenticated) {
    signedIn(who.user);
  } else if (told === null) {
    location.replace('/bff/login?prompt=none&return_to=' + encodeURIComponent(here.pathname + here.search));
  } else {
    signedOut(told === 'login_required' ? '' : 'The sign-in did not work.');
  }
}

function show(title, about) {
  $('title').textContent = title;
  $('about').textContent = about;
}

function signedIn(user) {
  show(user.name ?? user.email ?? user.sub, 'Signed in with the sign-in of the other apps. Sign out in one of them, and watch this page: do not touch it.');
  $('said').textContent = '';
  $('facts').hidden = $('leave').hidden = false;
  $('enter').hidden = true;
  count();
  listen();
  connect();
}

function signedOut(why) {
  events?.close();
  clearTimeout(again); // the WebSocket is the gateway's to close
  const had = !$('leave').hidden;
  $('said').textContent = why;
  show('You are not signed in', 'The orders of nobody are not counted. Sign in once, and every app of this sign-in opens.');
  $('orders').textContent = '–';
  $('leave').hidden = true;
  $('enter').hidden = false;
  if (had) $('title').focus(); // what had the focus is gone
}

async function count() {
  const answer = await ask('/api/orders').catch(() => null);
  $('orders').textContent = answer?.ok ? (await answer.json()).orders.length : 'not known';
}

// One stream of the gateway's events. The browser opens it again by itself after a break; one that is refused stays closed,
// and then the page asks when it is looked at.
function listen() {
  events = new EventSource('/bff/events');
  events.onopen = () => { $('events').textContent = 'connected'; };
  events.onerror = () => { $('events').textContent = events.readyState === EventSource.CLOSED ? 'off: asks when looked at' : 'connecting…'; };
  events.addEventListener('session-ended', (event) => {
    const {reason} = JSON.parse(event.data);
    $('events').textContent = `session ended: ${reason}`;
    signedOut(reasons.get(reason) ?? 'Your session has ended.');
  });
  events.addEventListener('session-replaced', replaced);
}

// A new sign-in of this browser took the session's place. Its cookie is on its way in another tab: it may come after the event.
async function replaced() {
  events.close();
  for (let looks = 0; looks < 20; looks++) {
    const answer = await ask('/bff/session').catch(() => null);
    if (answer?.ok && (await answer.json()).authenticated) break;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  location.reload();
}

// The API's own voice. 1008 is the gateway's word that the session is over.
function connect() {
  let ticks = 0;
  socket = new WebSocket('/api/live?ms=1000');
  socket.onmessage = (event) => {
    if (event.data.startsWith('{')) ticks += JSON.parse(event.data).event === 'tick' ? 1 : 0;
    $('socket').textContent = ticks === 1 ? '1 tick' : `${ticks} ticks`;
  };
  socket.onclose = (event) => {
    const over = event.code === 1008 || !$('enter').hidden;
    $('socket').textContent = over ? `closed with the session (${event.code})` : 'connecting…';
    if (!over) again = setTimeout(connect, 2000);
  };
}

async function lookedAt() {
  if (document.visibilityState !== 'visible' || $('leave').hidden) return;
  count();
  if (events.readyState !== EventSource.CLOSED) return;
  const answer = await ask('/bff/session').catch(() => null);
  if (!answer?.ok) return; // an outage is no sign-out
  if ((await answer.json()).authenticated) listen();
  else signedOut('Your session has ended.');
}

$('enter').onclick = () => location.assign('/bff/login?return_to=/');
$('leave').onclick = async () => {
  $('leave').disabled = true;
  const answer = await ask('/bff/logout', {method: 'POST'}).catch(() => null);
  $('leave').disabled = false;
  if (answer?.ok) location.assign((await answer.json()).redirect_to);
  else $('said').textContent = 'That did not work: you are still signed in.';
};
document.addEventListener('visibilitychange', lookedAt);
addEventListener('focus', lookedAt);
addEventListener('pageshow', (event) => event.persisted && location.reload()); // it may be of a session that is over
start();
