-- Lua values as people read them: show(value) is Lua source where there is such source, and tostring's text elsewhere.

local WIDTH = 80 -- a table that does not fit gets a line for each of its fields

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c) return ESCAPES[c] or ("\\x%02x"):format(c:byte()) end) .. '"'
end

local RANK = { number = 1, string = 2, boolean = 3 }

-- Numbers, strings, booleans, then all others: the same table always reads the same.
local function before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 4, RANK[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

local show

local function fields(t, indent, open)
  local texts, keys, n = {}, {}, 0
  while type(rawget(t, n + 1)) ~= "nil" do -- osthread.null is a field, and equals nil
    n = n + 1
    texts[n] = show(rawget(t, n), indent, open)
  end
  for key in next, t do
    if not (type(key) == "number" and key >= 1 and key <= n and key % 1 == 0) then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  for _, key in ipairs(keys) do
    local is_name = type(key) == "string" and key:find("^[%a_][%w_]*$") and not KEYWORDS[key]
    local name = is_name and key or "[" .. show(key, indent, open) .. "]"
    texts[#texts + 1] = name .. " = " .. show(rawget(t, key), indent, open)
  end
  return texts
end

-- `open`: the tables that this one is inside of.
local function show_table(t, indent, open)
  if open[t] then return "<cycle>" end
  open[t] = true
  local deeper = indent .. "  "
  local texts = fields(t, deeper, open)
  open[t] = nil
  local line = "{" .. table.concat(texts, ", ") .. "}"
  if #indent + #line <= WIDTH and not line:find("\n", 1, true) then return line end
  return "{\n" .. deeper .. table.concat(texts, ",\n" .. deeper) .. ",\n" .. indent .. "}"
end

function show(value, indent, open)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "table" then
    local meta = debug.getmetatable(value)
    if not (type(meta) == "table" and rawget(meta, "__tostring")) then
      return show_table(value, indent or "", open or {})
    end
  end
  local text = tostring(value)
  return text == "cdata<void *>: NULL" and "null" or text
end

return show
