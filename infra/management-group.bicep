// The same rights for every subscription below a management group, granted by its administrator:
//   az deployment mg create --management-group-id <id> --location <region> --template-file infra/management-group.bicep
// with SASQUASH_GRANT_RIGHTS off in azd's environment, and the group's id in SASQUASH_MANAGEMENT_GROUP.
targetScope = 'managementGroup'

@description('Name of the environment.')
param environmentName string

@description('Object id of the responder\'s identity: output SASQUASH_RESPONDER_PRINCIPAL_ID of main.bicep.')
param principalId string

@description('Whether Sasquash may act at all. If not, no role is assigned that changes anything.')
param acts bool

@description('Whether the identity may lock accounts down.')
param lockdown bool = false

var roles = loadJsonContent('roles.json')
var granted = {
  always: true
  acting: acts
  lockdown: acts && lockdown
  managementGroup: true
}

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for role in roles: {
    name: guid(managementGroup().id, environmentName, role.name)
    properties: {
      roleName: '${role.name} (${environmentName}, ${managementGroup().name})'
      description: role.description
      type: 'CustomRole'
      assignableScopes: [
        managementGroup().id
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
    name: guid(managementGroup().id, principalId, role.name)
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: definition[i].id
    }
  }
]
