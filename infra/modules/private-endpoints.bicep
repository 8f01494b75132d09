// Private endpoints of Sasquash's storage account and vault.

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Name of the network.')
param networkName string

@description('Name of the storage account.')
param storageName string

@description('Name of the vault.')
param vaultName string

@description('Ids of the private DNS zones for blob, queue, table and vault, in this order; none where a policy adds the names.')
param dnsZoneIds array

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

var ways = [
  {
    group: 'blob'
    target: account.id
  }
  {
    group: 'queue'
    target: account.id
  }
  {
    group: 'table'
    target: account.id
  }
  {
    group: 'vault'
    target: vault.id
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [for way in ways: {
  name: 'pep-${way.group}-${networkName}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnet.id
    }
    privateLinkServiceConnections: [
      {
        name: way.group
        properties: {
          privateLinkServiceId: way.target
          groupIds: [
            way.group
          ]
        }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for i in range(0, length(dnsZoneIds)): {
  parent: endpoint[i]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: ways[i].group
        properties: {
          privateDnsZoneId: dnsZoneIds[i]
        }
      }
    ]
  }
}]
