// Private endpoints of Sasquash's storage accounts, vaults, topic and apps.
import { tagMap } from 'types.bicep'

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('Name of the network.')
param networkName string

@description('Name of the storage account.')
param storageName string

@description('Name of the storage account of the intake\'s host; empty for none.')
param intakeStorageName string

@description('Name of the vault.')
param vaultName string

@description('Name of the vault of the intake; empty for none.')
param intakeVaultName string

@description('Name of the topic.')
param topicName string

@description('Name of the responder.')
param responderName string

@description('Name of an intake that is not public; empty for none.')
param intakeName string

@description('Ids of the private DNS zones for blob, queue, table, vault, apps and topic, in this order; none where a policy adds the names.')
param dnsZoneIds string[]

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' existing = {
  name: networkName
}

resource subnet 'Microsoft.Network/virtualNetworks/subnets@2024-05-01' existing = {
  parent: network
  name: 'endpoints'
}

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource intakeAccount 'Microsoft.Storage/storageAccounts@2025-01-01' existing = if (!empty(intakeStorageName)) {
  name: intakeStorageName
}

resource intakeVault 'Microsoft.KeyVault/vaults@2024-11-01' existing = if (!empty(intakeVaultName)) {
  name: intakeVaultName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource responder 'Microsoft.Web/sites@2024-11-01' existing = {
  name: responderName
}

resource intake 'Microsoft.Web/sites@2024-11-01' existing = if (!empty(intakeName)) {
  name: intakeName
}

// `zone` is the index in dnsZoneIds.
var shared = [
  {
    name: 'blob'
    group: 'blob'
    zone: 0
    target: account.id
  }
  {
    name: 'queue'
    group: 'queue'
    zone: 1
    target: account.id
  }
  {
    name: 'table'
    group: 'table'
    zone: 2
    target: account.id
  }
  {
    name: 'vault'
    group: 'vault'
    zone: 3
    target: vault.id
  }
  {
    name: 'responder'
    group: 'sites'
    zone: 4
    target: responder.id
  }
  {
    // The apps publish findings and states.
    name: 'topic'
    group: 'topic'
    zone: 5
    target: topic.id
  }
]
// What the intake's host uses of its account: intake-storage.bicep.
var ofIntake = empty(intakeStorageName)
  ? []
  : [
      {
        name: 'intake-blob'
        group: 'blob'
        zone: 0
        target: intakeAccount.id
      }
      {
        name: 'intake-table'
        group: 'table'
        zone: 2
        target: intakeAccount.id
      }
    ]
var vaultOfIntake = empty(intakeVaultName)
  ? []
  : [
      {
        name: 'intake-vault'
        group: 'vault'
        zone: 3
        target: intakeVault.id
      }
    ]
var intakeItself = empty(intakeName)
  ? []
  : [
      {
        name: 'intake'
        group: 'sites'
        zone: 4
        target: intake.id
      }
    ]
var ways = concat(shared, ofIntake, vaultOfIntake, intakeItself)

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for way in ways: {
    name: 'pep-${way.name}-${networkName}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: subnet.id
      }
      privateLinkServiceConnections: [
        {
          name: way.name
          properties: {
            privateLinkServiceId: way.target
            groupIds: [
              way.group
            ]
          }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for i in range(0, empty(dnsZoneIds) ? 0 : length(ways)): {
    parent: endpoint[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: ways[i].group
          properties: {
            privateDnsZoneId: dnsZoneIds[ways[i].zone]
          }
        }
      ]
    }
  }
]
