// The custom roles in one subscription and their assignments: one role per action, with exactly the permissions that
// the code uses. `granted` of roles.json says when a role is assigned: always, if Sasquash may act, for lockdowns, or at a
// management group only.
targetScope = 'subscription'

@description('Name of the environment.')
param environmentName string

@description('Object id of the responder\'s identity.')
param principalId string

@description('Whether Sasquash may act at all. If not, no role is assigned that changes anything.')
param acts bool

@description('Whether the identity may lock accounts down.')
param lockdown bool

// A role at a subscription can't list what is below a management group.
var roles = filter(loadJsonContent('../roles.json'), role => role.granted != 'managementGroup')
var granted = {
  always: true
  acting: acts
  lockdown: acts && lockdown
}

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for role in roles: {
    name: guid(subscription().id, environmentName, role.name)
    properties: {
      roleName: '${role.name} (${environmentName}, ${substring(subscription().subscriptionId, 0, 8)})'
      description: role.description
      type: 'CustomRole'
      assignableScopes: [
        subscription().id
      ]
      permissions: [
        {
          actions: role.actions
          notActions: []
          dataActions: []
          notDataActions: []
        }
      ]
    }
  }
]

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (role, i) in roles: if (granted[role.granted]) {
    name: guid(subscription().id, principalId, role.name)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: definition[i].id
    }
  }
]
