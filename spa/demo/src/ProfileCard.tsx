import { useQuery } from "@tanstack/react-query";
import { api } from "./api.ts";
import { callFailed, sentence } from "./words.ts";

/** What the provider's Management API says of a user, as far as it is shown. */
interface Profile {
  email?: string;
  user_profile?: { name?: string };
  memberships?: { organization_id: string; roles?: { name: string }[] }[];
}

/** A call with the app's own token, which the session steers: whose profile it is, no request can say. */
export function ProfileCard() {
  const profile = useQuery({
    queryKey: ["profile"],
    queryFn: async ({ signal }) => (await api<{ user: Profile }>("/api/profile", { signal })).user,
    enabled: false, // when the user asks for it
  });
  const words = profile.error === null ? null : callFailed(profile.error);
  return (
    <section className="card wide" aria-labelledby="profile">
      <h2 id="profile">Your profile at the sign-in service</h2>
      <p>
        From its Management API, which takes the app’s own token and knows no user. The gateway puts the session’s subject into the
        address, so nobody can ask for somebody else.
      </p>
      {profile.data !== undefined && <Facts profile={profile.data} />}
      {words !== null && (
        <p className="bad" role="alert">
          <strong>{sentence(words.title)}</strong> {words.text}
        </p>
      )}
      <p className="row">
        <button onClick={() => void profile.refetch()} aria-disabled={profile.isFetching}>
          {profile.data === undefined ? "Show my profile" : "Ask again"}
        </button>
      </p>
    </section>
  );
}

function Facts({ profile }: { profile: Profile }) {
  const places = (profile.memberships ?? []).map(({ organization_id, roles }) => {
    const names = (roles ?? []).map((role) => role.name);
    return `${organization_id} (${names.join(", ") || "no role"})`;
  });
  const rows = [
    ["Name", profile.user_profile?.name ?? "–"],
    ["Email", profile.email ?? "–"],
    ["Organizations", places.join(", ") || "none"],
  ];
  return (
    <dl className="details">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
