"""The responder's desk: a page in the browser that the app serves. `serving` hands its files out.

`index.html`, `console.css`; `console.js` (which view is shown, what its buttons do), `views.js` (what it looks like),
`api.js` (the HTTP API), `sign_in.js` (Entra ID, by Microsoft's `msal-browser.min.js`, as its npm package has it).
"""
