// The custom roles in one subscription and their assignments: one role per action, with exactly the permissions that
// the code uses.
targetScope = 'subscription'

@description('Name of the environment.')
param environmentName string

@description('Object id of the responder\'s identity.')
param principalId string

@description('Whether the identity may lock accounts down: the last of the roles.')
param lockdown bool

var roles = loadJsonContent('../roles.json')
var granted = lockdown ? length(roles) : length(roles) - 1

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for i in range(0, length(roles)): {
    name: guid(subscription().id, environmentName, roles[i].name)
    properties: {
      roleName: '${roles[i].name} (${environmentName}, ${substring(subscription().subscriptionId, 0, 8)})'
      description: roles[i].description
      type: 'CustomRole'
      assignableScopes: [
        subscription().id
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
    name: guid(subscription().id, principalId, roles[i].name)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: definition[i].id
    }
  }
]
