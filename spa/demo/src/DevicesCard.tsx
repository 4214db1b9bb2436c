import { useMutation, useQuery } from "@tanstack/react-query";
import { CloakroomError, type Device } from "@cloakroom/client";
import { useAnnounce } from "./Announcer.tsx";
import { client } from "./gateway.ts";
import { useSignIn } from "./SignIn.tsx";
import { ago, callFailed, kindOf, sentence } from "./words.ts";

/** Where the user is signed in, over all apps and devices, and the way out of each. */
export function DevicesCard() {
  const devices = useQuery({ queryKey: ["devices"], queryFn: () => client.devices.list(), staleTime: 0 });
  const announce = useAnnounce();
  const ending = useMutation({
    mutationFn: (device: Device | null) => (device === null ? client.devices.endOthers() : client.devices.end(device.id)),
    onSuccess: (_, device) => announce(device === null ? "The other sign-ins have ended." : `The sign-in of ${device.app} has ended.`),
    onSettled: () => devices.refetch(),
  });
  const error = ending.error ?? devices.error;
  return (
    <section className="card wide" aria-labelledby="devices">
      <h2 id="devices">Where you are signed in</h2>
      <p>Each app has a session of its own. Those of one sign-in end together, wherever you end one.</p>
      {error !== null && <Refused error={error} />}
      {devices.data === undefined ? (
        <p className="waiting">{devices.error === null ? "Asking the gateway…" : "Not known."}</p>
      ) : (
        <ul className="devices">
          {devices.data.map((device) => (
            <Row key={device.id} device={device} busy={ending.isPending} end={() => ending.mutate(device)} />
          ))}
        </ul>
      )}
      <p className="row">
        <button onClick={() => ending.mutate(null)} aria-disabled={ending.isPending}>
          End all others
        </button>
        <span className="fine">All of yours but this sign-in and its apps.</span>
      </p>
    </section>
  );
}

function Refused({ error }: { error: Error }) {
  const { failed, signIn } = useSignIn();
  const { title, text } = callFailed(error);
  return (
    <div className="bad row" role="alert">
      <p>
        <strong>{sentence(title)}</strong> {text} {failed}
      </p>
      {error instanceof CloakroomError && error.code === "recent_sign_in_required" && (
        <button onClick={() => signIn({ prompt: "login" })}>Sign in again</button>
      )}
    </div>
  );
}

function Row({ device, busy, end }: { device: Device; busy: boolean; end: () => void }) {
  const used = `last used ${ago(device.lastActiveAt, Date.now())}`;
  const where = device.device === "" ? "Device not known" : device.device;
  return (
    <li>
      <div>
        <strong>{device.app}</strong> <span className="fine">{kindOf(device.kind)}</span> {device.current && <span className="tag">this one</span>}
        <p className="fine">
          {where} · {used}
        </p>
      </div>
      {!device.current && (
        <button onClick={end} aria-disabled={busy} aria-label={`End ${device.app}, ${where}, ${used}`}>
          End
        </button>
      )}
    </li>
  );
}
