// Sign-in with Entra ID: authorization code with PKCE, by redirect. Tokens stay in this tab.

/** Resolves to {name, roles, token()} after sign-in, which may redirect the page. */
export async function signIn(config) {
  const client = new globalThis.msal.PublicClientApplication({
    auth: {
      clientId: config.clientId,
      authority: config.authority,
      redirectUri: `${location.origin}${location.pathname}`,
    },
    cache: { cacheLocation: 'sessionStorage' },
  });
  await client.initialize();
  await client.handleRedirectPromise();
  const [account] = client.getAllAccounts();
  if (!account) {
    await client.loginRedirect({ scopes: [config.scope] });
    return new Promise(() => {}); // the page is being redirected
  }
  const token = async () => {
    try {
      return (await client.acquireTokenSilent({ scopes: [config.scope], account })).accessToken;
    } catch (error) {
      if (!(error instanceof globalThis.msal.InteractionRequiredAuthError)) throw error;
      await client.acquireTokenRedirect({ scopes: [config.scope], account });
      return new Promise(() => {});
    }
  };
  const { roles, objectId } = claimsIn(await token());
  return { name: account.name || account.username, roles, objectId, token };
}

/** Returns the app roles and the object id in an access token, for display only: the API checks the token itself. */
function claimsIn(token) {
  const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  const { roles, oid } = JSON.parse(atob(payload));
  return { roles: new Set((roles || []).map((role) => role.replace('Sasquash.', ''))), objectId: oid };
}
