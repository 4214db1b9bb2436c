// Ending other sessions takes a recent sign-in. In this world that is one of the last second.
import {accessible} from './axe.mjs';
import {signIn} from './words.mjs';

export default async function ({demo, profile, expect, step}) {
  const page = await (await profile()).newPage();
  await signIn(page, demo + '/orders');
  await page.goto(demo + '/account');
  const list = page.getByRole('region', {name: 'Where you are signed in'});
  step('refused, and why');
  for (let i = 0; i < 30 && !await list.getByRole('alert').isVisible(); i++) { // until the second is over
    await list.getByRole('button', {name: 'End all others'}).click();
    await list.getByRole('alert').waitFor({timeout: 500}).catch(() => null);
  }
  await list.getByText('Is it still you?').waitFor();
  await accessible(page, 'a refusal in the list of devices');

  step('the provider asks, though it knows the user, and leads back');
  await list.getByRole('button', {name: 'Sign in again'}).click();
  await page.getByRole('button', {name: /Ada/}).click();
  await list.getByText('this one').waitFor();
  expect(page.url() === demo + '/account', `back at the list, not ${page.url()}`);
}
