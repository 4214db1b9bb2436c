import { useAnnounce } from "./Announcer.tsx";
import { type Device, useDevices } from "./devices.ts";
import { client } from "./gateway.ts";
import { ago, callFailed, kindOf } from "./words.ts";

/** Where the user is signed in, over all apps and devices, and the way out of each. */
export function DevicesCard() {
  const devices = useDevices();
  const announce = useAnnounce();
  const end = async (device?: Device): Promise<void> => {
    await devices.end(device?.id);
    announce(device === undefined ? "The other sign-ins are asked to end." : `${device.app} is asked to end.`);
  };
  return (
    <section className="card wide" aria-labelledby="devices">
      <h2 id="devices">Where you are signed in</h2>
      <p>Each app has a session of its own. Those of one sign-in end together, wherever you end one.</p>
      {devices.error !== null && (
        <div className="bad row" role="alert">
          <p>
            <strong>{callFailed(devices.error).title}.</strong> {callFailed(devices.error).text}
          </p>
          {devices.error.code === "recent_sign_in_required" && <button onClick={() => void client.login({ prompt: "login" })}>Sign in again</button>}
        </div>
      )}
      {devices.list === null ? (
        <p className="waiting">{devices.error === null ? "Asking the gateway…" : "Not known."}</p>
      ) : (
        <ul className="devices">
          {devices.list.map((device) => (
            <Row key={device.id} device={device} busy={devices.busy} end={() => void end(device)} />
          ))}
        </ul>
      )}
      <p className="row">
        <button onClick={() => void end()} aria-disabled={devices.busy}>
          End all others
        </button>
        <span className="fine">All of yours but this sign-in and its apps.</span>
      </p>
    </section>
  );
}

function Row({ device, busy, end }: { device: Device; busy: boolean; end: () => void }) {
  const used = `last used ${ago(device.last_active_at, Date.now())}`;
  return (
    <li>
      <div>
        <strong>{device.app}</strong> <span className="fine">{kindOf(device.kind)}</span>
        {device.current && <span className="tag">this one</span>}
        <p className="fine">
          {device.device === "" ? "Device not known" : device.device} · {used}
        </p>
      </div>
      {!device.current && (
        <button onClick={end} aria-disabled={busy} aria-label={`End ${device.app} on ${device.device || "a device not known"}, ${used}`}>
          End
        </button>
      )}
    </li>
  );
}
