// The topic for findings and for states of records. Its subscription is deployed after the code.
import { principal, tagMap } from 'types.bicep'

@description('Name of the topic.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('Name of the account that gets the dead letters.')
param storageName string

@description('The identities that publish.')
param senders principal[]

@description('Whether only the private network, and publisherAddresses, may publish, and findings are delivered to a queue.')
param privateNetwork bool

@description('Addresses outside of the private network that may publish.')
param publisherAddresses string[]

@description('Id of the workspace that gets the topic\'s failures.')
param workspaceId string

var dataSender = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'd5a91429-5739-47e2-a06b-3470a27159e7'
)
var blobDataContributor = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
)

var queueDataMessageSender = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
)

resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: privateNetwork && empty(publisherAddresses) ? 'Disabled' : 'Enabled'
    inboundIpRules: map(publisherAddresses, address => {
      ipMask: address
      action: 'Allow'
    })
  }
}

resource sending 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for sender in senders: {
    name: guid(topic.id, sender.id, dataSender)
    scope: topic
    properties: {
      principalId: sender.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: dataSender
    }
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' existing = {
  parent: blobs
  name: 'dead-letters'
}

resource deadLettering 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, topic.id, blobDataContributor)
  scope: deadLetters
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: blobDataContributor
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource findings 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' existing = {
  parent: queueService
  name: 'findings'
}

// Event Grid does not retry a delivery that is refused with 403. So the subscription is deployed later, with the code.
resource delivering 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (privateNetwork) {
  name: guid(findings.id, topic.id, queueDataMessageSender)
  scope: findings
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: queueDataMessageSender
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: topic
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
      {
        category: 'PublishFailures'
        enabled: true
      }
    ]
  }
}

output id string = topic.id
output name string = topic.name
output endpoint string = topic.properties.endpoint
