// The same rights for every subscription below a management group, granted by its administrator:
//   az deployment mg create --management-group-id <id> --location <region> --template-file infra/management-group.bicep
// with grantRights off in main.bicep.
targetScope = 'managementGroup'

@description('Name of the environment.')
param environmentName string

@description('Object id of the responder\'s identity: output SASQUASH_RESPONDER_PRINCIPAL_ID of main.bicep.')
param principalId string

@description('Whether the identity may lock accounts down: the last of the roles.')
param lockdown bool = false

var roles = loadJsonContent('roles.json')
var granted = lockdown ? length(roles) : length(roles) - 1

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for i in range(0, length(roles)): {
    name: guid(managementGroup().id, environmentName, roles[i].name)
    properties: {
      roleName: '${roles[i].name} (${environmentName}, ${managementGroup().name})'
      description: roles[i].description
      type: 'CustomRole'
      assignableScopes: [
        managementGroup().id
      ]
      permissions: [
        {
          actions: roles[i].actions
          notActions: []
          dataActions: []
          notDataActions: []
        }
      ]
    }
  }
]

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for i in range(0, granted): {
    name: guid(managementGroup().id, principalId, roles[i].name)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: definition[i].id
    }
  }
]
