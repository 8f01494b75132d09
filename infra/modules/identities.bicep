// The apps' identities. Two, so that the app that parses untrusted input has no right on any storage account.

@description('Name of the environment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags object

resource responder 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-sasquash-${environmentName}-responder'
  location: location
  tags: tags
}

resource intake 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-sasquash-${environmentName}-intake'
  location: location
  tags: tags
}

output responderId string = responder.id
output responderPrincipalId string = responder.properties.principalId
output responderClientId string = responder.properties.clientId
output intakeId string = intake.id
output intakePrincipalId string = intake.properties.principalId
output intakeClientId string = intake.properties.clientId
