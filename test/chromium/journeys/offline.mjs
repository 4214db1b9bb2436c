// The network goes and comes back: the page says so, keeps what is on it and what is typed meanwhile, and goes on by itself.
import {accessible} from './axe.mjs';
import {signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, expect, step}) {
  const context = await profile();
  const page = await context.newPage();
  await signIn(page, origin + '/orders');
  const item = page.getByLabel('Item');
  const coat = page.locator('ul.orders li:not(.pending)').getByText('Winter coat');
  await item.fill('Winter coat');
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await coat.waitFor();
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
  await item.fill('Scarf');
  await kept();
  for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
    await page.setViewportSize({width, height: 740});
    await page.emulateMedia({colorScheme});
    await accessible(page, `offline at ${width}, ${colorScheme}`);
  }
  await page.setViewportSize({width: 1280, height: 900});

  step('back: nothing was lost, and the order that was typed meanwhile can be placed');
  await context.setOffline(false);
  await notice.waitFor({state: 'detached', timeout: 45_000}); // the client asks again after half a minute at the latest
  await kept();
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await page.locator('ul.orders li:not(.pending)').getByText('Scarf').waitFor();
  expect(await coat.isVisible(), 'the order from before is still there');

  step('without the gateway from the start');
  await context.route((url) => url.pathname === '/bff/session', (route) => route.abort());
  await page.reload();
  await page.getByRole('heading', {name: 'We cannot reach the gateway'}).waitFor();
  expect(!(await signInButton(page).isVisible()), 'no way to sign in is offered: it would not help');
  await context.unrouteAll();
  await page.getByRole('button', {name: 'Try now'}).click();
  await item.waitFor();
}
