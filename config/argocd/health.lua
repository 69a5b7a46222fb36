-- What Argo CD says of connections, integration instances and accounts of both kinds: one script for all.
-- Argo CD says Progressing by itself of what is being deleted, and does not ask.
local health = {status = "Progressing", message = "Waiting for the operator"}
if obj.spec ~= nil and obj.spec.suspend == true then
  health.status = "Suspended"
  health.message = "spec.suspend is true: nothing is written"
  return health
end
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local says = {}
for _, condition in ipairs(obj.status.conditions) do
  says[condition.type] = condition
end
local function holds(kind)
  return says[kind] ~= nil and says[kind].status == "True"
end
if says.Ready ~= nil then
  health.message = says.Ready.message
end
if holds("Stalled") then
  health.status = "Degraded"
  health.message = says.Stalled.message
elseif holds("Reconciling") then
  health.message = says.Reconciling.message
elseif holds("Ready") then
  health.status = "Healthy"
elseif says.Ready ~= nil and (says.Ready.reason == "AuthorizationRequired" or says.Ready.reason == "LinkExpired") then
  -- Nothing is wrong and nothing is under way: it is somebody's turn, as in a rollout that waits for its promotion.
  health.status = "Suspended"
end
return health
