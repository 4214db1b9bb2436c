// Made from docs/openapi.yaml by test/openapi.ts: npx vitest run openapi -u writes it anew.

/** A time as RFC 3339 writes it: a text, which is not to be taken for any other. */
export type DateTime = string & { readonly time: unique symbol };

export type Code = "session_required" | "session_expired" | "session_ended" | "admin_required" | "upstream_unauthorized" | "insufficient_user_authentication" | "csrf_failed" | "app_not_allowed" | "claim_required" | "step_up_not_satisfiable" | "recent_sign_in_required" | "forbidden" | "bad_request" | "not_found" | "method_not_allowed" | "gone" | "too_large" | "header_too_large" | "misdirected" | "rate_limited" | "internal" | "upstream_unavailable" | "management_api_disabled" | "token_refused" | "store_unavailable" | "key_unknown" | "idp_unavailable" | "draining" | "upstream_busy" | "upstream_timeout" | "loop_detected" | "invalid_grant" | "invalid_client" | "invalid_dpop_proof" | "use_dpop_nonce" | "login_unknown" | "login_expired" | "login_replayed" | "login_mixed_up" | "login_no_code" | "login_code_rejected" | "login_token_rejected" | "login_misconfigured" | "cookies_blocked" | "login_refused" | "step_up_unmet" | "login_signed_out" | "login_no_sid" | "login_provider_failed" | "idp_misconfigured";

export type EventSession = {
  authenticated: true;
  session: {
    id: string;
    expires_in: number;
    idle_expires_in: number;
  };
};

export type EventSessionEnded = {
  reason: Reason;
};

export type EventSessionExtended = {
  expires_in: number;
  idle_expires_in: number;
};

export type EventSessionReplaced = {
  reason: "replaced";
};

export type ListedSession = {
  id: string;
  app: string;
  kind: "spa" | "web" | "mobile" | "desktop" | "";
  device: string;
  platform: string;
  created_at: DateTime;
  last_active_at: DateTime;
  current: boolean;
};

export type Problem = {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance: string;
  code: Code;
  request_id: string;
  reason?: Reason;
  login_url?: string;
  retry_after?: number;
  max_age?: number;
  acr_values?: readonly (string)[];
  step_up?: string;
};

export type Reason = "signed_out" | "provider_logout" | "admin" | "replaced" | "idle" | "absolute" | "refresh_rejected" | "refresh_lost" | "no_refresh_token" | "identity_changed" | "key_retired" | "handle_reused" | "code_replayed" | "login_undone" | "limit";

export type RedirectTo = {
  redirect_to: string;
};

export type Session = {
  id: string;
  created_at: DateTime;
  expires_in: number;
  idle_expires_in: number;
  acr?: string;
  auth_time?: number;
};

export type SessionAnswer = SignedIn | {
  authenticated: false;
};

export type SessionList = {
  sessions: readonly (ListedSession)[];
};

export type SignedIn = {
  authenticated: true;
  user: User;
  session: Session;
  logout_url?: string;
};

export type User = Record<string, unknown>;
