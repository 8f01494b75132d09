"""Stand-in for Microsoft Graph: people, mail, a SharePoint list, security alerts, incidents, set-up."""
