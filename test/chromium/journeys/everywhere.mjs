// One sign-in opens every app; one sign-out closes them all, and each says so by itself.
import {asks, openAll, sentTo, shoot, watchFor} from './apps.mjs';
import {signInButton} from './words.mjs';

export default async function (given) {
  const {demo, board, docs, notes, provider, folder, within, profile, ask, expect, step} = given;
  const context = await profile();
  step('sign in at app one; app two, the server-rendered one and the docs open with no question');
  const pages = await openAll(context, given);
  await shoot(pages.board, folder, 'board');
  await shoot(pages.notes, folder, 'notes');
  const held = (await context.cookies([demo, board, notes, docs])).filter((c) => c.name.startsWith('__Host-Http-'));
  expect(held.map((c) => c.name).sort().join() === '__Host-Http-board,__Host-Http-demo,__Host-Http-docs,__Host-Http-notes', `a cookie for each app, not ${held.map((c) => c.name)}`);

  step('the desktop app signs in with one click');
  const desk = await context.newPage();
  await desk.goto(await ask('login'));
  await desk.getByText('Ada Lovelace').waitFor(); // no question who: only whether the program may come in
  await desk.getByRole('button', {name: 'Continue'}).click();
  await desk.getByText('Thank you').waitFor();
  await ask('logged-in');
  await desk.close();

  step('sign out in app two: the tab of app one, untouched, says so and why');
  const seen = await watchFor(pages.demo, 'You have signed out');
  const sent = sentTo(pages.board, '/bff/logout');
  await pages.board.getByRole('button', {name: 'Sign out'}).click();
  const began = await sent;
  const took = await seen(within + 10_000) - began;
  step(`app one knows ${took} ms after the sign-out was sent`);
  expect(took <= within, `within ${within} ms, not ${took}`);
  await pages.demo.getByText('in another app or on another page of the same sign-in').first().waitFor();
  await signInButton(pages.demo).waitFor();
  await pages.demo.waitForFunction(() => document.title === 'Signed out · Cloakroom Coats'); // the tab says it by its name
  expect(!(await pages.demo.locator('body').innerText()).includes('Lovelace'), 'no name in the tab that was left open');
  await shoot(pages.demo, folder, 'signed-out-elsewhere');
  const said = await pages.demo.locator('[aria-live=polite]').innerText();
  expect(said.startsWith('You have signed out'), `said aloud, not ${said}`);

  step('the desktop app knows, and its handle is nothing');
  const told = await ask('told');
  expect(told.includes('you signed out in another app'), `the reason, not ${told}`);
  await ask('refused');

  step('app two is back, asked quietly, and signed out');
  await pages.board.getByRole('heading', {name: 'You are not signed in'}).waitFor();
  expect(await pages.board.locator('#said').innerText() === '', 'a silent sign-in that finds nobody says nothing of it');
  expect((await context.cookies(provider)).length === 0, 'the cookie of the provider is gone');

  step('the next click in the notes, and the next page of the docs, lead to a sign-in that asks');
  await pages.notes.getByRole('link', {name: 'Write a note'}).click();
  await asks(pages.notes);
  await pages.docs.reload();
  await asks(pages.docs);

  step('sign in again there, and back at the very page');
  await pages.notes.getByRole('button', {name: /Grace/}).click();
  await pages.notes.getByRole('heading', {name: 'A new note'}).waitFor();
  expect(pages.notes.url() === notes + '/new', `back at the form, not ${pages.notes.url()}`);
}
