/** What a client may read in its own token. The gateway alone checks it. */

/** The user that a JSON Web Token names. */
export function subjectOf(token: string | undefined): string | undefined {
  const claims = token?.split(".")[1];
  if (!claims) return undefined;
  try {
    const { sub } = JSON.parse(atob(claims.replace(/-/g, "+").replace(/_/g, "/"))) as { sub?: unknown };
    return typeof sub === "string" ? sub : undefined;
  } catch {
    // A token of another kind: the gateway will say what it thinks of it.
    return undefined;
  }
}
