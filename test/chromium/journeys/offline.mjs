// The network goes and comes back, and the gateway is restarted: the page says which it is, keeps what is on it, and goes on by itself.
import {accessible} from './axe.mjs';
import {signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, ask, expect, step}) {
  const context = await profile();
  const page = await context.newPage();
  await signIn(page, origin + '/orders');
  const item = page.getByLabel('Item');
  const coat = page.locator('ul.orders li:not(.pending)').getByText('Winter coat');
  await item.fill('Winter coat');
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await coat.waitFor();
  await item.fill('Scarf');
  const stands = await item.boundingBox();
  const notice = page.locator('.float .notice');
  const kept = async () => {
    expect(await item.inputValue() === 'Scarf', 'what was typed is still there');
    expect(await coat.isVisible(), 'the orders are still there');
    expect(!(await signInButton(page).isVisible()), 'no way to sign in is offered: nobody is signed out');
    const now = await item.boundingBox();
    expect(now.x === stands.x && now.y === stands.y, 'the form stands where it stood');
  };

  step('offline');
  await context.setOffline(true);
  await notice.getByText('You are offline.').waitFor();
  await kept();
  for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
    await page.setViewportSize({width, height: 740});
    await page.emulateMedia({colorScheme});
    await accessible(page, `offline at ${width}, ${colorScheme}`);
  }
  await page.setViewportSize({width: 1280, height: 900});

  step('back');
  await context.setOffline(false);
  await notice.waitFor({state: 'detached', timeout: 45_000}); // the client asks again after half a minute at the latest
  await kept();

  step('the gateway is gone');
  await ask('gateway-stop');
  await page.evaluate(() => window.dispatchEvent(new Event('online'))); // or whatever makes the page ask: its own timers are longer
  await notice.getByText(/We cannot reach the gateway|The gateway is restarting/).waitFor({timeout: 30_000});
  await kept();
  await accessible(page, 'without the gateway');

  step('and there again');
  await ask('gateway-start');
  await notice.waitFor({state: 'detached', timeout: 45_000});
  await kept();
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await page.locator('ul.orders li:not(.pending)').getByText('Scarf').waitFor();

  step('without the gateway from the start');
  await context.route((url) => url.pathname === '/bff/session', (route) => route.abort());
  await page.reload();
  await page.getByRole('heading', {name: 'We cannot reach the gateway'}).waitFor();
  expect(!(await signInButton(page).isVisible()), 'no way to sign in is offered: it would not help');
  await context.unrouteAll();
  await page.getByRole('button', {name: 'Try now'}).click();
  await item.waitFor();
}
