// Private DNS zones for the names of the private endpoints, linked to the apps' network. Not deployed where zones are given,
// or where a policy adds the names.
import { tagMap } from 'types.bicep'

@description('Tags.')
param tags tagMap

@description('Name of the network.')
param networkName string

@description('Names of the zones.')
param zoneNames string[]

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' existing = {
  name: networkName
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for name in zoneNames: {
    name: name
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (name, i) in zoneNames: {
    parent: zone[i]
    name: networkName
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]
