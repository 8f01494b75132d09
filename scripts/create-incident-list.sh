#!/usr/bin/env bash
# Creates the SharePoint list for incidents, with its columns, and prints the two settings that name it.
# For the owner of the site; run once:  scripts/create-incident-list.sh contoso.sharepoint.com:/sites/security
# learn.microsoft.com/graph/api/list-create. FindingId is indexed and unique, so that an incident is filed once.
set -euo pipefail

graph=https://graph.microsoft.com/v1.0
site=$(az rest --url "$graph/sites/${1:?host:/sites/name}" --query id --output tsv)
list=$(az rest --method post --url "$graph/sites/$site/lists" --query id --output tsv --body "@$(dirname "$0")/incident-list.json")
echo "azd env set SASQUASH_INCIDENT_SITE '$site'"
echo "azd env set SASQUASH_INCIDENT_LIST '$list'"
