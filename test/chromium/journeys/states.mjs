// Every page of the demo in every state it can be in, and the gateway's own pages: nothing that axe finds, in every look. The
// states are forced by the answers the page gets, so that they come at once; that they come about by themselves, other journeys show.
import {accessible, accessibleInEveryLook, colours} from './axe.mjs';
import {asksUntil, chooseUser, signIn, signInButton} from './words.mjs';

export default async function ({origin, issuer, folder, profile, expect, step}) {
  const context = await profile({reducedMotion: 'reduce', locale: 'en-GB', timezoneId: 'UTC'});
  const page = await context.newPage();
  const look = async (name) => {
    step(name);
    const picture = folder === '' ? async () => {} : (how) => page.screenshot({path: `${folder}/${name.replaceAll(' ', '-')}-${how}.png`, fullPage: true});
    await accessibleInEveryLook(page, name, picture).catch((error) => found.push(error.message)); // one run tells all
    if (chosen.has(name)) { // colours that a user has chosen
      await page.emulateMedia({forcedColors: 'active'});
      await accessible(page, `${name}, forced colours`, colours).catch((error) => found.push(error.message));
      await picture('1280-forced');
      await page.emulateMedia({forcedColors: null});
    }
    // Who asks for less motion gets none: what is left are colours, and what appears in its place.
    const moves = await page.evaluate(() => document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations === Infinity
      || a.effect.getKeyframes().some((frame) => 'transform' in frame)).map((a) => a.animationName ?? a.transitionProperty));
    if (moves.length > 0) found.push(`${name} moves: ${moves}`);
  };
  const chosen = new Set(['overview', 'order packed', 'account', 'the session ends idle', 'orders mistakes', 'export running']);
  const found = [];
  const button = (name) => page.getByRole('button', {name, exact: true});
  const heading = (name) => page.getByRole('heading', {name, level: 1});
  const path = (want) => (url) => url.origin === origin && url.pathname === want;
  const problem = (status, code, more = {}) => ({
    status, contentType: 'application/problem+json',
    body: JSON.stringify({type: `urn:cloakroom:problem:${code}`, title: 'Something went wrong', status, detail: 'Try again in a moment.', code, request_id: '4e5d2b7a1c9f', ...more}),
  });
  // Answers a path in the gateway's or the API's place until the returned function is called.
  const answer = async (at, how) => {
    const there = path(at);
    await context.route(there, typeof how === 'function' ? how : (route) => route.fulfill(how));
    return () => context.unroute(there);
  };
  const never = () => {}; // a request that nobody answers

  step('visitors');
  await context.route(path('/bff/session'), never);
  await page.goto(origin + '/');
  await page.getByText('Asking the gateway who is signed in').waitFor();
  await look('nobody knows yet');
  await page.getByText('Asking the gateway who is signed in').waitFor(); // that was what was looked at
  await context.unrouteAll();
  await page.goto(origin + '/orders/ord_0007');
  await signInButton(page).waitFor();
  await look('welcome');
  for (const code of ['access_denied', 'step_up_unmet', 'anything_else']) {
    await page.goto(`${origin}/?login_error=${code}`);
    await page.getByRole('alert').waitFor();
    await look(`a sign-in that failed ${code}`);
  }
  await page.goto(origin + '/orders');
  await signInButton(page).click();
  await page.getByRole('button', {name: /Ada/}).waitFor();
  expect(page.url().startsWith(issuer), 'at the provider');
  await look('the provider');
  await chooseUser(page, 'Ada');
  await page.getByText('No orders yet').waitFor();
  await look('orders none');
  await button('Order').click(); // nothing filled in
  await page.locator('.mistake').first().waitFor();
  await page.getByLabel('Quantity').fill('many');
  await button('Order').click();
  await page.locator('.mistake').nth(1).waitFor();
  await look('orders mistakes');
  await page.goto(origin + '/');
  await page.getByText('Nothing has happened').waitFor();
  await page.getByText('Live: should you').waitFor();
  await look('overview first');

  const said = await page.evaluate(() => fetch('/bff/session', {headers: {'X-CSRF': '1'}}).then((r) => r.json()));

  step('orders');
  const placed = '2026-03-09T10:42:00Z';
  const orders = [
    {id: 'ord_0001', item: 'Winter coat, dark blue, size 52, with the large buttons', quantity: 1, status: 'refunded', placed_at: placed},
    {id: 'ord_0002', item: 'Felt hat', quantity: 12, status: 'shipped', placed_at: placed},
    {id: 'ord_0003', item: 'Regenschirmständerbodenplattenbefestigungsschraube', quantity: 999, status: 'packed', placed_at: placed},
    {id: 'ord_0004', item: 'Umbrella', quantity: 2, status: 'placed', placed_at: placed},
    {id: 'ord_0005', item: 'Silk scarf', quantity: 1, status: 'placed', placed_at: placed},
    {id: 'ord_0006', item: 'Gloves', quantity: 3, status: 'placed', placed_at: placed},
  ];
  const listed = (route) => (route.request().method() === 'POST' ? never() : route.fulfill({json: {orders}}));
  let feed;
  await context.routeWebSocket((url) => url.pathname === '/api/orders/feed', (socket) => {
    feed = socket;
    socket.send('{"event":"hello"}');
  });
  let free = await answer('/api/orders', listed);
  await page.goto(origin + '/orders');
  await page.getByText('Silk scarf').waitFor();
  await page.getByLabel('Item').fill('Cape');
  await button('Order').click();
  await page.locator('ul.orders li.pending').waitFor();
  await look('orders and one on its way');
  await page.goto(origin + '/');
  await page.getByText('All 6 orders').waitFor();
  await page.getByRole('region', {name: 'Live'}).getByRole('status').getByText('Live', {exact: true}).waitFor();
  for (const order of orders.toReversed()) feed.send(JSON.stringify({event: order.status, order}));
  await page.locator('.happenings li').nth(5).waitFor();
  await page.getByText('Live: should you').waitFor();
  await look('overview');
  await feed.close({code: 1011});
  await page.getByText('Reconnecting').waitFor();
  await look('overview the live view away');
  for (const [id, state] of [['ord_0001', 'refunded'], ['ord_0002', 'shipped'], ['ord_0003', 'packed'], ['ord_0004', 'placed']]) {
    await page.goto(`${origin}/orders/${id}`);
    await page.getByText('999').or(page.getByText('Placed').last()).first().waitFor();
    await look(`order ${state}`);
  }
  for (const [status, code, name] of [[401, 'insufficient_user_authentication', 'asked'], [401, 'step_up_not_satisfiable', 'never'], [502, 'upstream_unavailable', 'failed']]) {
    const over = await answer('/api/orders/ord_0004/refund', problem(status, code, {login_url: '/bff/login?step_up=1'}));
    await button('Refund').click();
    await page.locator('dialog, .card [role=alert]').first().waitFor();
    await look(`refund ${name}`);
    if (name === 'asked') await page.keyboard.press('Escape');
    await over();
  }
  await page.evaluate((sub) => sessionStorage.setItem('cloakroom-demo:refund', JSON.stringify({refund: 'ord_0004', sub, at: Date.now()})), said.user.sub);
  await page.goto(`${origin}/orders/ord_0004?login_error=access_denied`);
  await page.getByText('is ready to confirm').waitFor();
  await look('refund ready to confirm');
  await page.goto(origin + '/orders/ord_9999');
  await page.getByText('There is no such order').waitFor();
  await look('order of nobody');
  await free();

  step('orders that cannot be read');
  free = await answer('/api/orders', never);
  await page.goto(origin + '/orders');
  await page.locator('.bones').waitFor();
  await look('orders on their way');
  await free();
  free = await answer('/api/orders', problem(500, 'internal_error'));
  await page.goto(origin + '/orders');
  await button('Try again').waitFor();
  await look('orders not read');
  await page.goto(origin + '/orders/ord_0004');
  await button('Try again').waitFor();
  await look('order not read');
  await free();

  step('the export');
  await page.goto(origin + '/export');
  await look('export');
  const stream = (text) => ({status: 200, contentType: 'text/event-stream', body: text});
  free = await answer('/api/orders/export', never);
  await button('Export all orders').click();
  await button('Cancel').waitFor();
  await look('export running');
  await button('Cancel').click();
  await free();
  free = await answer('/api/orders/export', stream('event: progress\ndata: {"done":7,"total":20}\n\n'));
  await button('Export all orders').click();
  await page.getByText('The connection broke').first().waitFor();
  await look('export waiting');
  await button('Cancel').click();
  await free();
  for (const [name, href, seen] of [['ready', '/api/orders/export/1.csv', 'Your file is ready'], ['failed', 'https://elsewhere.example/1.csv', 'The export did not work']]) {
    free = await answer('/api/orders/export', stream(`event: ready\ndata: {"href":"${href}"}\n\n`));
    await button('Export all orders').click();
    await page.getByText(seen).waitFor();
    await look(`export ${name}`);
    await free();
  }

  step('the account');
  await page.goto(origin + '/account');
  await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
  await page.getByText('this one').waitFor();
  await page.locator('summary').click();
  await look('account');
  free = await answer('/api/whoami', problem(502, 'upstream_unavailable'));
  const noList = await answer('/bff/sessions', problem(403, 'recent_sign_in_required'));
  await answer('/api/profile', problem(403, 'management_api_disabled'));
  await page.goto(origin + '/account');
  await button('Show my profile').click();
  await page.getByText('The API does not answer').waitFor();
  await page.getByText('Is it still you?').waitFor();
  await page.getByText('Not allowed').waitFor();
  await page.evaluate(() => localStorage.setItem('something', 'of somebody'));
  await page.getByText('1 entry').waitFor();
  await look('account nothing works');
  await page.evaluate(() => localStorage.clear());
  await free();
  await noList();

  step('the session ends soon');
  for (const [name, ends] of [['idle', {idle_expires_in: 50, expires_in: 9000}], ['absolute', {idle_expires_in: 50, expires_in: 50}]]) {
    const real = await answer('/bff/session', {json: {...said, session: {...said.session, ...ends}}});
    await page.goto(origin + '/orders');
    await page.getByRole('dialog', {name: /Your session ends/}).waitFor();
    const refused = await answer('/bff/session/extend', problem(503, 'store_unavailable'));
    await look(`the session ends ${name}`);
    if (name === 'idle') {
      await button('Stay signed in').click();
      await page.getByRole('dialog').getByRole('alert').waitFor();
      await look('the session ends and cannot be kept');
    }
    await page.keyboard.press('Escape');
    await page.locator('.float .notice').waitFor();
    await look(`the session ends ${name} as a notice`);
    await refused();
    await real();
  }

  step('outages');
  const outages = [
    ['the network is away', (route) => route.abort(), 'We cannot reach the gateway'],
    ['restarting', problem(503, 'draining'), 'The gateway is restarting'],
    ['the store is away', problem(503, 'store_unavailable'), 'We cannot reach the session store'],
    ['something else answers', {status: 200, contentType: 'text/html', body: '<title>Log in to the hotel</title>'}, 'Something else answers'],
  ];
  for (const [name, how, says] of outages) {
    await page.goto(origin + '/orders');
    await button('Order').waitFor();
    const over = await answer('/bff/session', how);
    await asksUntil(page, '.float .notice');
    await page.locator('.float .notice').getByText(says).waitFor();
    await look(`${name} under the page`);
    await page.goto(origin + '/orders');
    await heading(new RegExp(says)).waitFor();
    await look(`${name} from the start`);
    await over();
  }
  await page.goto(origin + '/orders');
  await button('Order').waitFor();
  free = await answer('/bff/logout', (route) => route.abort());
  await button('Sign out').click();
  await page.getByText('You are not signed out').waitFor();
  await look('a sign-out that failed');
  await free();
  await page.goto(origin + '/orders');
  await button('Order').waitFor();
  await context.setOffline(true);
  await page.locator('.float .notice').getByText('You are offline').waitFor();
  await look('offline');
  await context.setOffline(false);

  step('the session is over');
  for (const reason of ['signed_out', 'provider_logout', 'admin', 'limit', 'idle', 'absolute', 'refresh_lost', '']) {
    // The gateway itself is asked before the page believes it, and says so from then on.
    let over = false;
    const gone = await answer('/bff/session', (route) => (over ? route.fulfill({json: {authenticated: false}}) : route.continue()));
    free = await answer('/api/orders', (route) => (over = true, route.fulfill(problem(401, 'session_ended', {reason}))));
    await page.goto(origin + '/orders');
    await signInButton(page).waitFor();
    await look(`signed out ${reason || 'for no reason that is known'}`);
    await free();
    await gone();
  }
  await page.goto(origin + '/nowhere');
  await heading('There is nothing here').waitFor();
  await look('an address that is none');

  step("the gateway's own pages");
  await page.goto(origin + '/bff/login?prompt=nonsense');
  await look('gateway error');
  await context.route('http://elsewhere.test/', (route) => route.fulfill({contentType: 'text/html', body: `<a href="${origin}/bff/login">in</a>`}));
  await page.goto('http://elsewhere.test/');
  await page.getByRole('link').click();
  await heading(/^Sign in/).waitFor();
  await look('gateway confirm');
  expect(found.length === 0, `nothing found, not\n${found.join('\n')}`);
}
