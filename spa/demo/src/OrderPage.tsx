import { useEffect, useRef, useState } from "react";
import { CloakroomError } from "@cloakroom/client";
import { Link } from "./address.tsx";
import { useAnnounce } from "./Announcer.tsx";
import { Dialog } from "./Dialog.tsx";
import { dropDraft, keepDraft, readDraft } from "./draft.ts";
import { client } from "./gateway.ts";
import { StatusTag, Unread, When } from "./OrdersPage.tsx";
import type { Order } from "./orders.ts";
import { useOrders, useRefunding } from "./Shop.tsx";
import { Failed, useSignIn } from "./SignIn.tsx";
import { callFailed, refundFailed, sentence } from "./words.ts";

/** One order, by its address. */
export function OrderPage({ id }: { id: string }) {
  const orders = useOrders();
  const order = orders.list?.find((one) => one.id === id);
  return (
    <div className="column">
      <p>
        <Link href="/orders">← All orders</Link>
      </p>
      <h1 tabIndex={-1}>Order {id}</h1>
      {orders.list === undefined ? (
        <div className="card">
          <Unread orders={orders} />
        </div>
      ) : order === undefined ? (
        <p className="card">There is no such order of yours.</p>
      ) : (
        <section className="card" aria-label={`Order ${id}`}>
          <Steps order={order} />
          <Details order={order} />
          <Refund key={id} order={order} />
        </section>
      )}
    </div>
  );
}

const steps = ["placed", "packed", "shipped"] as const;

/** How far an order has come. */
function Steps({ order }: { order: Order }) {
  const now = steps.findIndex((status) => status === order.status);
  if (now < 0) {
    return (
      <p className="title">
        <StatusTag order={order} />
      </p>
    );
  }
  return (
    <ol className="steps" aria-label="How far it is">
      {steps.map((status, i) => (
        <li key={status} className={i <= now ? "done" : undefined} aria-current={i === now ? "step" : undefined}>
          {status}
        </li>
      ))}
    </ol>
  );
}

function Details({ order }: { order: Order }) {
  return (
    <dl className="details">
      <div>
        <dt>Item</dt>
        <dd>{order.item}</dd>
      </div>
      <div>
        <dt>Quantity</dt>
        <dd>{order.quantity}</dd>
      </div>
      <div>
        <dt>Placed</dt>
        <dd>
          <When at={order.placed_at} />
        </dd>
      </div>
    </dl>
  );
}

/** What the API asks for is no failure: a sign-in, and then the same once more. */
const stepUp = "insufficient_user_authentication";

/** Gives the money back. Where the API wants a newer sign-in for it, it is told why, and waits here when the user is back. */
function Refund({ order }: { order: Order }) {
  const [ready, setReady] = useState(() => order.status !== "refunded" && readDraft() === order.id);
  const { mutate, isPending: busy, isSuccess: made, error, reset } = useRefunding();
  const button = useRef<HTMLButtonElement>(null);
  const told = useRef<HTMLParagraphElement>(null);
  const announce = useAnnounce();
  const again = error instanceof CloakroomError && error.code === stepUp ? error : null;

  useEffect(() => {
    if (ready) {
      dropDraft();
      button.current?.focus();
    }
  }, [ready]);

  const refunded = order.status === "refunded";
  useEffect(() => {
    if (made && refunded) {
      told.current?.focus(); // the button that had it is gone
    }
  }, [made, refunded]);

  const refund = (): void => {
    if (!busy) {
      setReady(false);
      mutate(order.id, { onSuccess: () => announce(`Refunded: ${order.quantity} × ${order.item}.`) });
    }
  };

  const dismiss = (): void => {
    reset();
    client.dismissStepUp();
  };

  if (refunded) {
    return (
      <p ref={told} className="fine" tabIndex={-1}>
        The money for this order is on its way back.
      </p>
    );
  }
  return (
    <>
      {ready && (
        <p className="ready" role="status">
          <strong>Refund {order.id} is ready to confirm.</strong> Nothing is paid back yet.
        </p>
      )}
      <div className="row">
        <button ref={button} className={ready ? "primary" : undefined} onClick={refund} aria-disabled={busy}>
          {busy ? "Refunding…" : "Refund"}
        </button>
        {!ready && <span className="fine">Takes a sign-in of the last five minutes.</span>}
      </div>
      {error !== null && again === null && (
        <p className="bad" role="alert">
          <strong>{sentence(callFailed(error).title)}</strong> {callFailed(error).text} {refundFailed(error)}
        </p>
      )}
      {again !== null && <Again order={order} error={again} onClose={dismiss} />}
    </>
  );
}

/** Says why the user is to sign in again, before they are sent away. */
function Again({ order, error, onClose }: { order: Order; error: CloakroomError; onClose: () => void }) {
  const { failed, signIn } = useSignIn();
  const leave = (): void => {
    keepDraft(order.id);
    signIn({ stepUp: error });
  };
  return (
    <Dialog title={callFailed(error).title} onClose={onClose}>
      <p>{callFailed(error).text}</p>
      <Failed text={failed} />
      <div className="row">
        <button className="primary" onClick={leave}>
          Sign in again
        </button>
        <button onClick={onClose}>Not now</button>
      </div>
    </Dialog>
  );
}
