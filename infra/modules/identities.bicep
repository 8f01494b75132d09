// The apps' identities. Two, so that the app that parses untrusted input has no right on any storage account.
import { tagMap } from 'types.bicep'

@description('Name of the responder\'s identity.')
param responderName string

@description('Name of the identity of a separate intake; empty for none.')
param intakeName string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

resource responder 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: responderName
  location: location
  tags: tags
}

resource intake 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (!empty(intakeName)) {
  name: intakeName
  location: location
  tags: tags
}

output responderPrincipalId string = responder.properties.principalId
output responderClientId string = responder.properties.clientId
output intakePrincipalId string = empty(intakeName) ? '' : intake!.properties.principalId
output intakeClientId string = empty(intakeName) ? '' : intake!.properties.clientId
