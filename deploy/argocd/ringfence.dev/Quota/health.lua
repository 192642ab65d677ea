local health = {}

if obj.metadata.deletionTimestamp ~= nil then
  health.status = "Progressing"
  health.message = "Being deleted"
  return health
end

-- The status may be about the spec before this one; -1 stands for none.
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  health.status = "Progressing"
  health.message = "Waiting for the operator to see this spec"
  return health
end

local found = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  found[condition.type] = condition
end

-- Stalled: nothing changes before somebody changes something. Otherwise what is not ready is on its way.
if found.Reconciling ~= nil and found.Reconciling.status == "True" then
  health.status = "Progressing"
  health.message = found.Reconciling.message
elseif found.Stalled ~= nil and found.Stalled.status == "True" then
  health.status = "Degraded"
  health.message = found.Stalled.message
elseif found.Ready ~= nil and found.Ready.status == "True" then
  health.status = "Healthy"
  health.message = found.Ready.message
else
  health.status = "Progressing"
  health.message = found.Ready ~= nil and found.Ready.message or "Waiting for the operator"
end

return health
