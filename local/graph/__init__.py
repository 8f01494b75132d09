"""Stand-ins for Microsoft Graph: people, mail, SharePoint lists, security incidents."""
